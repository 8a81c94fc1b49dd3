/**
 * Runs the source's side of a migration: performs on the ports what sender-machine.ts asks for, and reports the results
 * to it. It decides nothing.
 */
import { assertNever } from '../shared/assert-never.ts';
import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { ClockOffset } from './clock-offset.ts';
import {
  BULK_STALL_MS,
  DEFAULT_FIXED_PAUSE_MS,
  DEFAULT_MAX_PAUSE_MS,
  HEARTBEAT_MS,
  MAX_EXTRA_BYTES,
  READY_REST_MS,
  SILENT_HEARTBEATS,
  SILENT_HEARTBEATS_PREPARING,
  WITHDRAW_LIMIT_MS,
} from './limits.ts';
import { LinkSession } from './link-session.ts';
import { MachineLoop } from './machine-loop.ts';
import { parseToSource, type ToSource, type ToTarget } from './messages.ts';
import { asMigrationError, MigrationError } from './migration-error.ts';
import { SPOKEN_VERSIONS } from './negotiation.ts';
import { PageStream } from './page-stream.ts';
import type { Link } from './ports.ts';
import type { MigrationCause, MigrationReport } from './report.ts';
import type { CancelAnswer, SenderDeps, SenderHandle } from './sender-api.ts';
import { beginSending, stepSender } from './sender-machine.ts';
import { answerCancel, SenderVoice } from './sender-voice.ts';
import type { SenderEffect, SenderEvent, SenderOperation, SenderPlan, SenderState } from './sender-states.ts';
import { settlable, within, type Settlable } from './settlable.ts';
import { SourceWork } from './source-work.ts';

export type { SenderDeps, SenderHandle, SenderOptions } from './sender-api.ts';

/** Pings in a row at the start, while the link is idle: the fastest one gives the best clock offset. */
const FIRST_PINGS = 8;

/** The cause of a failed operation if the thrown error names none. */
const CAUSES: Readonly<Record<SenderOperation, MigrationCause>> = {
  'start-dirty-log': 'internal',
  'send-round': 'internal',
  'take-dirty': 'internal',
  rest: 'internal',
  hold: 'hold-failed',
  stop: 'internal',
  'drain-disk': 'disk-drain-failed',
  'send-last': 'internal',
  'tell-drained': 'relay-lost',
  release: 'relay-lost',
  abort: 'relay-lost',
  resume: 'internal',
  'replace-link': 'link-failed',
};

/** Operations that undo a failed move: their answers count, whatever happened to the link. */
const LASTING: ReadonlySet<SenderOperation> = new Set(['release', 'resume', 'abort', 'replace-link']);

/** Begins to move a running VM to the host at the other end of the link. Throws MigrationError('internal') if `extra` is too large. */
export function startSender(deps: SenderDeps): SenderHandle {
  if (JSON.stringify(deps.offer.extra ?? null).length > MAX_EXTRA_BYTES) {
    throw new MigrationError('internal', `The data that travels with the VM is larger than ${MAX_EXTRA_BYTES} bytes.`);
  }
  const sender = new Sender(deps);
  const done = sender.run();
  return {
    done,
    async cancel(): Promise<CancelAnswer> {
      sender.cancel();
      return answerCancel(await done);
    },
    vmEnded: (reason) => sender.vmEnded(reason),
    targetLeft: () => sender.targetLeft(),
    state: () => sender.state,
  };
}

type Session = LinkSession<ToSource, ToTarget>;

class Sender {
  private readonly deps: SenderDeps;
  private readonly plan: SenderPlan;
  private readonly loop: MachineLoop<SenderState, SenderEvent, SenderEffect>;
  private readonly stream: PageStream;
  private readonly work: SourceWork;
  private readonly voice: SenderVoice;
  private readonly offset = new ClockOffset();
  private readonly bag = new DisposableBag();
  private resting: Disposable | null = null;
  private readonly report: Settlable<MigrationReport>;
  private session: Session;
  private bytesOfClosedLinks = 0;
  private version = 0;
  /** Incremented when a link is replaced; answers to operations started before that are ignored. */
  private turn = 0;
  private pingsLeft = FIRST_PINGS;
  /** Heartbeats in a row in which the target applied nothing, although something was in flight. */
  private idleBeats = 0;
  private unappliedAtBeat = 0;

  constructor(deps: SenderDeps) {
    this.deps = deps;
    const { vm, clock, options = {}, compressor, pageHash } = deps;
    const nextTask = deps.nextTask ?? ((): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, 0)));
    this.plan = planOf(deps);
    this.report = settlable();
    this.session = this.openSession(deps.link);
    this.voice = new SenderVoice(deps);
    this.stream = new PageStream(
      {
        vm,
        clock,
        compressor,
        pageHash,
        nextTask,
        bandwidthBytesPerSecond: options.bandwidthBytesPerSecond ?? Number.POSITIVE_INFINITY,
        roundTripMs: () => this.offset.roundTripMs,
        onSent: () => this.tellProgress(false),
      },
      this.bulkSender(),
    );
    this.work = new SourceWork({ vm, clock, stream: this.stream, pageHash, nextTask });
    this.loop = new MachineLoop<SenderState, SenderEvent, SenderEffect>({
      clock,
      first: beginSending(this.plan, clock.now()),
      step: stepSender,
      perform: (effect) => this.perform(effect),
      deadlinePassed: (at) => ({ type: 'deadline', at }),
      onStep: deps.onStep,
      onState: (state) => {
        this.voice.entered(state);
        this.tellProgress(true);
      },
    });
  }

  run(): Promise<MigrationReport> {
    const { lease } = this.deps;
    this.bag.add(lease.onOutcome((outcome) => this.dispatch({ type: 'lease', at: this.now(), outcome })));
    this.bag.add({ dispose: () => this.resting?.dispose() });
    this.bag.add(lease.onWaiting((what) => this.voice.leaseWaits(what)));
    this.voice.entered(this.loop.state);
    this.session.start();
    this.loop.start();
    this.tellProgress(true);
    return this.report.promise;
  }

  cancel(): void {
    this.dispatch({ type: 'cancel', at: this.now(), reason: 'The migration was cancelled.' });
  }

  vmEnded(reason?: string): void {
    this.failed(new MigrationError('vm-ended', reason));
  }

  targetLeft(): void {
    if (this.state === 'offering') this.session.lost(new MigrationError('link-failed', 'The target left before it answered the offer.'));
  }

  get state(): SenderState['name'] {
    return this.loop.state.name;
  }

  private now(): number {
    return this.deps.clock.now();
  }

  private dispatch(event: SenderEvent): void {
    this.loop.dispatch(event);
  }

  private failed({ cause, message }: MigrationError): void {
    this.dispatch({ type: 'failed', at: this.now(), failure: { outcome: 'failed', cause, reason: message } });
  }

  private tellProgress(atOnce: boolean): void {
    this.voice.progress(this.loop.state, this.stream, atOnce);
  }

  private perform(effect: SenderEffect): void {
    switch (effect.type) {
      case 'send':
        this.session.sendControl(effect.message);
        break;
      case 'start':
        this.operate(effect.operation);
        break;
      case 'agree':
        this.version = effect.version;
        this.session.agree(effect.version);
        this.session.expectWordWithin(SILENT_HEARTBEATS_PREPARING);
        this.ping();
        break;
      case 'mark-everything':
        this.stream.add(this.deps.vm.differsFromBase());
        break;
      case 'mark-unapplied':
        try {
          this.stream.attach(this.bulkSender(), effect.messagesApplied);
        } catch (error) {
          this.failed(asMigrationError(error, 'internal'));
        }
        break;
      case 'send-switchover':
        this.sendSwitchover(effect.stoppedAt);
        break;
      case 'throttle':
        this.toVm((vm) => vm.throttle(effect.cpuFraction));
        break;
      case 'stop-dirty-log':
        this.toVm((vm) => vm.stopDirtyLog());
        break;
      case 'discard-vm':
        this.toVm((vm) => vm.discard());
        break;
      case 'log':
        this.voice.log(effect.sentence);
        break;
      case 'finish':
        void this.finish(effect);
        break;
      default:
        assertNever(effect);
    }
  }

  /** Asks the VM for something that should not fail; if it does, the log says so. */
  private toVm(ask: (vm: SenderDeps['vm']) => void): void {
    this.work.onVm(ask).catch((error: unknown) => this.voice.log(asMigrationError(error, 'internal').message));
  }

  /** Starts an operation; its answer comes as an event, unless the link has been replaced by then. */
  private operate(operation: SenderOperation): void {
    if (operation === 'replace-link') this.turn++;
    const { turn, session } = this;
    const counts = (): boolean => LASTING.has(operation) || turn === this.turn;
    this.answer(operation).then(
      (event) => {
        if (counts()) this.dispatch(event);
      },
      (error: unknown) => {
        if (!counts()) return;
        const failure = asMigrationError(error, CAUSES[operation]);
        const { cause, message: reason } = failure;
        // A link that ends reports itself; the operation that noticed it only stops.
        if (cause === 'link-failed' && operation !== 'replace-link') session.bulkLost(failure);
        else this.dispatch({ type: 'operation-failed', at: this.now(), operation, failure: { outcome: 'failed', cause, reason } });
      },
    );
  }

  private async answer(operation: SenderOperation): Promise<SenderEvent> {
    const { lease } = this.deps;
    const { work } = this;
    switch (operation) {
      case 'start-dirty-log':
        await work.onVm((vm) => vm.startDirtyLog());
        return { type: 'dirty-log-started', at: this.now() };
      case 'send-round':
        await work.sendRound();
        return { type: 'round-sent', at: this.now() };
      case 'take-dirty': {
        const dirtied = await work.collect();
        const { totals, bytesLeft, bytesPerSecond } = this.stream;
        return { type: 'dirty-taken', at: this.now(), dirtied, totals, bytesLeft, bytesPerSecond, roundTripMs: this.offset.roundTripMs ?? 0 };
      }
      case 'rest':
        await this.rest();
        return { type: 'rested', at: this.now() };
      case 'hold':
        await lease.hold();
        return { type: 'held', at: this.now() };
      case 'stop':
        await work.onVm((vm) => vm.pause());
        return { type: 'stopped', at: this.now() };
      case 'drain-disk':
        await work.onVm((vm) => vm.drainDisk());
        return { type: 'disk-drained', at: this.now() };
      case 'send-last': {
        const pagesFlowAt = await work.sendLast();
        return { type: 'last-sent', at: this.now(), totals: this.stream.totals, pagesFlowAt };
      }
      case 'tell-drained':
        await lease.drained();
        return { type: 'drained', at: this.now() };
      case 'release':
        await lease.release();
        return { type: 'released', at: this.now() };
      case 'abort': {
        const outcome = await lease.abort();
        return { type: 'abort-answered', at: this.now(), outcome };
      }
      case 'resume':
        await work.resume();
        return { type: 'resumed', at: this.now() };
      case 'replace-link':
        await this.replaceLink();
        return { type: 'link-replaced', at: this.now() };
      default:
        return assertNever(operation);
    }
  }

  private rest(): Promise<void> {
    return new Promise((resolve) => {
      this.resting = this.deps.clock.setTimeout(resolve, READY_REST_MS);
    });
  }

  private sendSwitchover(stoppedAt: number): void {
    const { session, work } = this;
    session.sendControl(work.switchover(stoppedAt, session.bulkSent, this.offset));
    if (!this.plan.verify) return;
    work
      .scan(() => this.loop.state.name === 'committing')
      .then(
        (digest) => session.sendControl({ type: 'scan', digest }),
        // Nobody waits for the scan any more, or the target will report that it waited in vain.
        () => undefined,
      );
  }

  private openSession(link: Link): Session {
    return new LinkSession({
      link,
      clock: this.deps.clock,
      migrationId: this.deps.offer.migrationId,
      parse: parseToSource,
      events: {
        onControl: (message) => this.heard(message),
        onBulk: () => {
          throw new MigrationError('bad-message', 'The target sent pages; only the source may.');
        },
        onLost: ({ cause, message }) => {
          this.stream.detach();
          this.dispatch({ type: 'link-lost', at: this.now(), failure: { outcome: 'failed', cause, reason: message } });
        },
        onBad: (error) => this.failed(error),
        onBeat: () => this.beat(),
      },
    });
  }

  private bulkSender(): ConstructorParameters<typeof PageStream>[1] {
    const { session } = this;
    return {
      sendBulk: (type, payload, acknowledge) => session.sendBulk(type, payload, acknowledge),
      writable: () => session.link.bulk.writable(),
    };
  }

  private async replaceLink(): Promise<void> {
    this.bytesOfClosedLinks += this.session.bytesSent;
    this.session.close();
    if (this.deps.replaceLink === undefined) throw new MigrationError('link-failed');
    const link = await this.deps.replaceLink();
    if (this.loop.state.name !== 'reconnecting') {
      link.close();
      return;
    }
    this.session = this.openSession(link);
    this.voice.linkReplaced(link.kind);
    this.session.start();
    this.session.agree(this.version);
    this.offset.linkReplaced();
    this.pingsLeft = FIRST_PINGS;
    this.ping();
  }

  private heard(message: ToSource): void {
    this.dispatch({ type: 'heard', at: this.now() });
    switch (message.type) {
      case 'applied':
        this.stream.acknowledge(message.messages);
        break;
      case 'pong':
        this.offset.add({ sentAt: message.at, receivedAt: message.received, answeredAt: message.sent, returnedAt: this.now() });
        if (--this.pingsLeft > 0) this.ping();
        break;
      case 'running':
        this.dispatch({ type: 'target-runs', at: this.now(), runs: { at: message.at - this.offset.offsetMs, took: message.took ?? null } });
        break;
      default:
        if (message.type === 'prepared') this.session.expectWordWithin(SILENT_HEARTBEATS);
        this.dispatch({ type: 'message', at: this.now(), message });
    }
  }

  private ping(): void {
    this.session.sendControl({ type: 'ping', at: this.now() });
  }

  private beat(): void {
    this.ping();
    const { unappliedBytes } = this.stream;
    this.idleBeats = unappliedBytes > 0 && unappliedBytes >= this.unappliedAtBeat ? this.idleBeats + 1 : 0;
    this.unappliedAtBeat = unappliedBytes;
    if (this.idleBeats * HEARTBEAT_MS >= BULK_STALL_MS) {
      this.idleBeats = 0;
      this.session.lost(new MigrationError('link-failed', `The target applied nothing for ${BULK_STALL_MS / 1000} s although pages were on their way.`));
    }
  }

  /** Closes what is open, waits until the VM has finished its operations, and reports the end. */
  private async finish(end: Extract<SenderEffect, { type: 'finish' }>): Promise<void> {
    this.stream.detach();
    this.session.close();
    this.bag.dispose();
    const bytesOnWire = this.bytesOfClosedLinks + this.session.bytesSent;
    const { clock } = this.deps;
    await within(clock, WITHDRAW_LIMIT_MS, this.work.idle());
    this.report.resolve(this.voice.report(this.loop.state, end, bytesOnWire));
  }
}

function planOf({ vm, offer, options = {}, replaceLink }: SenderDeps): SenderPlan {
  const { fingerprint, space } = vm;
  const verify = options.verify ?? false;
  return {
    fingerprint,
    space,
    offer: { type: 'offer', versions: SPOKEN_VERSIONS, ...offer, fingerprint, space, verify },
    maxPauseMs: options.maxPauseMs ?? DEFAULT_MAX_PAUSE_MS,
    fixedPauseMs: options.fixedPauseMs ?? DEFAULT_FIXED_PAUSE_MS,
    verify,
    canReconnect: replaceLink !== undefined,
  };
}
