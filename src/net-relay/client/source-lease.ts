/**
 * The source's side of one switchover. Every request is repeated, in order, whenever the port is attached again, until
 * the relay answers; the relay recognises repeated requests. After a hold, all later requests wait for its answer,
 * because frames still arrive until then (rule NR16). Nothing here decides by time who owns the VM.
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

/** With these causes, the relay knows for certain that another host has the VM. */
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
  /** The relay has answered the hold over the current socket: no more frames arrive. */
  private holdAnswered = false;
  /** Frames given back after the CPU stopped; sent again with `drained`. */
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
      // The VM was given back. An `outcome` says so too, but only once; if it was lost with an earlier socket, nothing else will say it.
      this.settle({ owner: 'source', epoch: message.epoch as LeaseEpoch }, true);
      return;
    }
    // As the former owner: the relay sends an `outcome` by itself, which says how this switchover ended.
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

  /** The migration has ended. If the relay has not ended the hold yet, keep listening until it has. */
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

  /** Sends the release or abort that was asked for, after `drained`, so that the frames given back keep their place. */
  private sendEnd(): void {
    if (this.draining !== null && !this.holdAnswered) return;
    if (this.releasing !== null) this.port.send({ type: 'release', migrationId: this.migrationId });
    if (this.aborting !== null) this.port.send({ type: 'abort', migrationId: this.migrationId });
  }

  private sendDrained(): void {
    // Frames that arrived since, e.g. between a restart of the relay and the repeated hold, go after the others.
    this.returned.push(...this.port.takeUndelivered());
    if (this.port.state.kind !== 'connected') return;
    this.port.sendReturned(this.returned);
    this.port.send({ type: 'drained', migrationId: this.migrationId });
  }

  private refused(request: string, reason: string): void {
    if (request === 'release') this.releasing?.reject(new MigrationError('commit-refused', reason));
    // A release or abort is already under way: only the answer to that counts.
    if (this.releasing !== null || this.aborting !== null) return;
    if (request === 'hold') this.holding?.reject(new MigrationError('hold-failed', reason));
    if (request === 'drained') this.draining?.reject(new MigrationError('hold-failed', reason));
  }

  private outcome(message: Extract<RelayToPort, { type: 'outcome' }>): void {
    const epoch = message.epoch as LeaseEpoch;
    if (message.ownerHostId !== this.port.hostId) {
      const outcome: LeaseOutcome = { owner: 'target', epoch };
      if (message.alive) this.settle(outcome, true);
      // Committed, but the target has given no sign of life yet: the frozen copy may still be needed.
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

  /** Back to the state before the hold; the source may hold again. */
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
