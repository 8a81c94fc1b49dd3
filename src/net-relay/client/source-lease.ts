/**
 * The source's side of one switchover. Every request is repeated, in order, whenever the port is attached again, until
 * the relay answers: it takes a repeated request for what it is. Behind a hold the rest waits for its answer, for frames
 * still come until then (rule NR16). Nothing here decides by time who owns the VM.
 */
import { MigrationError } from '../../migration/migration-error.ts';
import type { LeaseOutcome, SourceLease } from '../../migration/ports.ts';
import { assertNever } from '../../shared/assert-never.ts';
import type { Disposable } from '../../shared/disposable.ts';
import { Emitter } from '../../shared/emitter.ts';
import type { HostId, LeaseEpoch, MigrationId } from '../../shared/ids.ts';
import type { RelayToPort } from '../protocol/relay-protocol.ts';
import { Deferred } from './deferred.ts';
import type { Attached, PortConnection, PortListener, PortState } from './port-connection.ts';

/** The relay knows for certain that another host has the VM. */
const ANOTHERS: readonly string[] = ['stale-epoch', 'not-owner'];

export class RelaySourceLease implements SourceLease, PortListener, Disposable {
  readonly epoch: LeaseEpoch;
  private readonly port: PortConnection;
  private readonly migrationId: MigrationId;
  private readonly targetHostId: HostId;
  private readonly outcomes = new Emitter<LeaseOutcome>();
  private readonly waiting = new Emitter<string | null>();
  private readonly listening: Disposable;
  private holding: Deferred<undefined> | null = null;
  private draining: Deferred<undefined> | null = null;
  private releasing: Deferred<undefined> | null = null;
  private aborting: Deferred<LeaseOutcome> | null = null;
  /** The relay has answered the hold over the present socket: no frame comes any more. */
  private holdAnswered = false;
  /** Given back once the CPU had stopped; sent again with `drained`. */
  private returned: Uint8Array[] = [];
  private settled: LeaseOutcome | null = null;
  private told: string | null = null;
  private isDisposed = false;

  constructor(port: PortConnection, migrationId: MigrationId, targetHostId: HostId) {
    this.port = port;
    this.epoch = port.epoch;
    this.migrationId = migrationId;
    this.targetHostId = targetHostId;
    this.listening = port.listen(this);
  }

  hold(): Promise<void> {
    this.holding ??= new Deferred();
    this.sendHold();
    this.state(this.port.state);
    return this.holding.promise;
  }

  drained(): Promise<void> {
    this.draining ??= new Deferred();
    if (this.holdAnswered) this.sendDrained();
    this.tellWaiting(this.port.state);
    return this.draining.promise;
  }

  release(): Promise<void> {
    if (this.settled?.owner === 'target') return Promise.reject(new MigrationError('commit-refused', 'The target owns the VM now.'));
    // Never asked for a hold, or it is over: nothing is held.
    if (this.holding === null || this.settled !== null) return Promise.resolve();
    this.releasing ??= new Deferred();
    this.sendEnd();
    this.tellWaiting(this.port.state);
    return this.releasing.promise;
  }

  abort(): Promise<LeaseOutcome> {
    if (this.settled !== null) return Promise.resolve(this.settled);
    this.aborting ??= new Deferred();
    const { promise } = this.aborting;
    this.sendEnd();
    this.state(this.port.state);
    return promise;
  }

  onOutcome(listener: (outcome: LeaseOutcome) => void): Disposable {
    return this.outcomes.on(listener);
  }

  onWaiting(listener: (what: string | null) => void): Disposable {
    return this.waiting.on(listener);
  }

  attached(message: Attached): void {
    if (this.isOver) return;
    if (message.as === 'owner' && message.epoch > this.epoch) {
      // Given back. An `outcome` says so as well, once; if that was lost with an earlier socket, nothing else will.
      this.settle({ owner: 'source', epoch: message.epoch as LeaseEpoch }, true);
      return;
    }
    // As the former owner: the relay says by itself, in an `outcome`, how this switchover ended.
    if (message.as !== 'owner' || message.epoch !== this.epoch) return;
    if (this.holding !== null) this.sendHold();
    this.sendEnd();
  }

  message(message: RelayToPort): void {
    if (!('migrationId' in message) || message.migrationId !== this.migrationId || this.isOver) return;
    switch (message.type) {
      case 'held':
        this.holding?.resolve(undefined);
        this.afterHold();
        break;
      case 'drained-ok':
        this.returned = [];
        this.draining?.resolve(undefined);
        break;
      case 'released':
        this.released();
        break;
      case 'request-refused':
        this.refused(message.request, message.reason);
        if (message.request === 'hold') this.afterHold();
        break;
      case 'outcome':
        this.outcome(message);
        break;
      default:
        break;
    }
    this.tellWaiting(this.port.state);
  }

  state(state: PortState): void {
    if (this.isOver) return;
    if (state.kind !== 'connected') this.holdAnswered = false;
    if (state.kind === 'refused' && state.cause === 'unknown-vm') {
      this.settle({ owner: 'nobody', reason: state.reason }, true);
    } else if (state.kind === 'refused' && ANOTHERS.includes(state.cause)) {
      // The relay remembers a move for long; if it does not know this one any more, the VM has moved on since.
      this.settle({ owner: 'target', epoch: (this.epoch + 1) as LeaseEpoch }, true);
    } else if (state.kind === 'refused') {
      this.rejectRequests(state.reason);
    }
    this.tellWaiting(state);
  }

  disposed(): void {
    if (!this.isOver) {
      this.rejectRequests('The port was closed.');
      this.releasing?.reject(new MigrationError('relay-lost', 'The port was closed before the relay had answered.'));
      this.aborting?.reject(new MigrationError('relay-lost', 'The port was closed before the relay had answered.'));
    }
    this.outcomes.dispose();
    this.waiting.dispose();
  }

  /** The migration has ended. A hold that the relay has not ended yet is seen to its end before the port is left alone. */
  dispose(): void {
    this.isDisposed = true;
    if (this.holding === null && this.aborting === null) this.listening.dispose();
  }

  private get isOver(): boolean {
    return this.settled !== null;
  }

  private sendHold(): void {
    this.holdAnswered = false;
    this.port.send({ type: 'hold', migrationId: this.migrationId, targetHostId: this.targetHostId });
  }

  private afterHold(): void {
    if (this.holdAnswered || this.holding === null) return;
    this.holdAnswered = true;
    if (this.draining === null) return;
    this.sendDrained();
    this.sendEnd();
  }

  /** Release or abort, whichever was asked for; behind `drained`, so that the frames given back are where they belong. */
  private sendEnd(): void {
    if (this.draining !== null && !this.holdAnswered) return;
    if (this.releasing !== null) this.port.send({ type: 'release', migrationId: this.migrationId });
    if (this.aborting !== null) this.port.send({ type: 'abort', migrationId: this.migrationId });
  }

  private sendDrained(): void {
    // What came meanwhile, e.g. between a restart of the relay and the repeated hold, belongs behind the rest.
    this.returned.push(...this.port.takeUndelivered());
    if (this.port.state.kind !== 'connected') return;
    this.port.sendReturned(this.returned);
    this.port.send({ type: 'drained', migrationId: this.migrationId });
  }

  private refused(request: string, reason: string): void {
    if (request === 'release') this.releasing?.reject(new MigrationError('commit-refused', reason));
    // On its way to an end anyway: the answer to that is what counts.
    if (this.releasing !== null || this.aborting !== null) return;
    if (request === 'hold') this.holding?.reject(new MigrationError('hold-failed', reason));
    if (request === 'drained') this.draining?.reject(new MigrationError('hold-failed', reason));
  }

  private outcome(message: Extract<RelayToPort, { type: 'outcome' }>): void {
    const epoch = message.epoch as LeaseEpoch;
    if (message.ownerHostId !== this.port.hostId) {
      const outcome: LeaseOutcome = { owner: 'target', epoch };
      if (message.alive) this.settle(outcome, true);
      // Committed, and not yet known to live: the frozen copy may still be needed.
      else this.aborting?.resolve(outcome);
    } else if (epoch > this.epoch) {
      this.port.becomeOwner(epoch);
      this.settle({ owner: 'source', epoch }, true);
    } else if (this.aborting !== null) {
      this.settle({ owner: 'source', epoch }, false);
    }
  }

  private settle(outcome: LeaseOutcome, told: boolean): void {
    const why = whyOver(outcome);
    if (outcome.owner === 'target') this.port.becomeFormerOwner();
    this.settled = outcome;
    this.rejectRequests(why);
    this.releasing?.reject(new MigrationError('commit-refused', why));
    this.aborting?.resolve(outcome);
    this.say(null);
    this.listening.dispose();
    if (told) this.outcomes.emit(outcome);
  }

  /** As if the hold had never been; the source may hold again. */
  private released(): void {
    const { releasing } = this;
    if (releasing === null) return;
    this.rejectRequests('The switchover was called off.');
    this.holding = this.draining = this.releasing = null;
    this.holdAnswered = false;
    this.returned = [];
    releasing.resolve(undefined);
    if (this.isDisposed) this.dispose();
  }

  private rejectRequests(reason: string): void {
    this.holding?.reject(new MigrationError('hold-failed', reason));
    this.draining?.reject(new MigrationError('hold-failed', reason));
  }

  private tellWaiting(state: PortState): void {
    if (this.isOver || this.holding === null || state.kind === 'connected' || state.kind === 'connecting') this.say(null);
    else {
      const what = this.draining === null ? 'Waiting for the relay to hold the network frames of this VM.' : 'Waiting for the relay to know who owns this VM.';
      this.say(`${what} ${state.reason}`);
    }
  }

  private say(what: string | null): void {
    if (what === this.told) return;
    this.told = what;
    this.waiting.emit(what);
  }
}

function whyOver(outcome: LeaseOutcome): string {
  switch (outcome.owner) {
    case 'source':
      return 'The VM stays with its source.';
    case 'target':
      return 'The target owns the VM now.';
    case 'nobody':
      return outcome.reason;
    default:
      return assertNever(outcome);
  }
}
