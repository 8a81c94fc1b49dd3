/**
 * Runs the target's side of a migration: performs on the ports what receiver-machine.ts asks for, and reports the
 * results to it. It decides nothing.
 */
import { assertNever } from '../shared/assert-never.ts';
import { DisposableBag } from '../shared/disposable.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import { PROGRESS_EVERY_MS } from './limits.ts';
import { LinkSession } from './link-session.ts';
import { MachineLoop } from './machine-loop.ts';
import { parseToTarget, readOfferedVersions, type OfferMessage, type ToSource, type ToTarget } from './messages.ts';
import { asMigrationError, MigrationError } from './migration-error.ts';
import { agreeOnVersion, explainVersions, SPOKEN_VERSIONS } from './negotiation.ts';
import { scanMemory } from './page-digest.ts';
import { PageSink } from './page-sink.ts';
import type { Link, TargetLease, TargetVm } from './ports.ts';
import type { ReceivedOffer, ReceiverDeps, ReceiverEnd, ReceiverHandle } from './receiver-api.ts';
import { beginReceiving, stepReceiver } from './receiver-machine.ts';
import type { Ended, ReceiverEffect, ReceiverEvent, ReceiverOperation, ReceiverState } from './receiver-states.ts';
import type { MigrationCause, MigrationPhase } from './report.ts';
import { settlable } from './settlable.ts';

export type { ReceivedOffer, ReceiverDeps, ReceiverEnd, ReceiverHandle } from './receiver-api.ts';

/** The cause of a failed operation if the thrown error names none. */
const CAUSES: Readonly<Record<ReceiverOperation, MigrationCause>> = {
  prepare: 'prepare-failed',
  'attach-lease': 'relay-lost',
  probe: 'relay-lost',
  gather: 'bad-message',
  restore: 'restore-failed',
  scan: 'internal',
  commit: 'relay-lost',
  run: 'restore-failed',
  'await-alive': 'target-silent',
  'tell-alive': 'relay-lost',
};

const PHASES: Readonly<Record<ReceiverState['name'], MigrationPhase>> = {
  'awaiting-offer': 'offer',
  preparing: 'prepare',
  receiving: 'rounds',
  interrupted: 'rounds',
  restoring: 'switchover',
  committing: 'commit',
  starting: 'commit',
  proving: 'commit',
  ended: 'done',
};

/** Begins to receive a VM over a link that its source has opened. */
export function startReceiver(deps: ReceiverDeps): ReceiverHandle {
  const receiver = new Receiver(deps);
  receiver.run();
  return { offer: receiver.offer.promise, done: receiver.end.promise, cancel: () => receiver.cancel(), state: () => receiver.state };
}

type Session = LinkSession<ToTarget, ToSource>;

class Receiver {
  readonly offer = settlable<ReceivedOffer | null>();
  readonly end = settlable<ReceiverEnd>();
  private readonly deps: ReceiverDeps;
  private readonly loop: MachineLoop<ReceiverState, ReceiverEvent, ReceiverEffect>;
  private readonly bag = new DisposableBag();
  private readonly nextTask: () => Promise<void>;
  private session: Session;
  private message: OfferMessage | null = null;
  private vm: TargetVm | null = null;
  private lease: TargetLease | null = null;
  private sink: PageSink | null = null;
  private version = 0;
  private offeredLink: Link | null = null;
  private awaited: { readonly messages: number; readonly deviceBytes: number } | null = null;
  private devices: Uint8Array | null = null;
  private progressAt = Number.NEGATIVE_INFINITY;

  constructor(deps: ReceiverDeps) {
    this.deps = deps;
    this.nextTask = deps.nextTask ?? ((): Promise<void> => new Promise((resolve) => void deps.clock.setTimeout(resolve, 0)));
    this.session = this.openSession(deps.link, deps.migrationId ?? null);
    this.loop = new MachineLoop<ReceiverState, ReceiverEvent, ReceiverEffect>({
      clock: deps.clock,
      first: beginReceiving(deps.nextLink !== undefined, deps.clock.now()),
      step: stepReceiver,
      perform: (effect) => this.perform(effect),
      deadlinePassed: (at) => ({ type: 'deadline', at }),
      onStep: deps.onStep,
      onState: () => this.tellProgress(true),
    });
  }

  run(): void {
    this.loop.start();
    this.session.start();
    this.awaitLink();
  }

  cancel(): void {
    this.dispatch({ type: 'cancel', at: this.now(), reason: 'The migration was cancelled at the target.' });
  }

  get state(): ReceiverState['name'] {
    return this.loop.state.name;
  }

  private now(): number {
    return this.deps.clock.now();
  }

  private dispatch(event: ReceiverEvent): void {
    this.loop.dispatch(event);
  }

  private perform(effect: ReceiverEffect): void {
    switch (effect.type) {
      case 'send':
        this.session.sendControl(effect.message);
        break;
      case 'start':
        this.operate(effect.operation, () => this.answer(effect.operation));
        break;
      case 'gather':
        this.awaited = { messages: effect.bulkMessages, deviceBytes: effect.deviceBytes };
        this.guard(() => this.gather());
        break;
      case 'run':
        this.operate('run', async () => {
          const { vm } = this.received();
          await vm.run(Math.max(0, this.now() - effect.stoppedAt));
          return { type: 'runs', at: this.now() };
        });
        break;
      case 'agree':
        this.version = effect.version;
        this.session.agree(effect.version);
        break;
      case 'adopt-link':
        this.adoptLink();
        break;
      case 'refuse-link':
        this.guard(() => this.offeredLink?.close());
        this.offeredLink = null;
        break;
      case 'send-resumed':
        this.session.sendControl({ type: 'resumed', messages: this.sink?.messages ?? 0 });
        this.sink?.restart();
        break;
      case 'discard-vm':
        this.guard(() => this.vm?.discard());
        this.vm = null;
        break;
      case 'dispose-lease':
        this.guard(() => this.lease?.dispose());
        this.lease = null;
        break;
      case 'log':
        this.deps.onLog?.(effect.sentence);
        break;
      case 'finish':
        this.finish(effect.verdict);
        break;
      default:
        assertNever(effect);
    }
  }

  /** A failure in an effect comes back as an event. */
  private guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.failed(asMigrationError(error, 'internal'));
    }
  }

  private failed({ cause, message: reason }: MigrationError): void {
    this.dispatch({ type: 'failed', at: this.now(), failure: { outcome: 'failed', cause, reason } });
  }

  private operate(operation: ReceiverOperation, work: () => Promise<ReceiverEvent>): void {
    work().then(
      (event) => this.dispatch(event),
      (error: unknown) => {
        const { cause, message: reason } = asMigrationError(error, CAUSES[operation]);
        this.dispatch({ type: 'operation-failed', at: this.now(), operation, failure: { outcome: 'failed', cause, reason } });
      },
    );
  }

  private async answer(operation: Exclude<ReceiverOperation, 'gather' | 'run'>): Promise<ReceiverEvent> {
    switch (operation) {
      case 'prepare': {
        const offer = this.offered();
        const vm = await this.deps.prepare(offer.fingerprint, receivedOffer(offer));
        this.vm = vm;
        this.sink = new PageSink(vm, this.deps.compressor, this.deps.pageHash);
        return { type: 'prepared', at: this.now(), fingerprint: vm.fingerprint, space: vm.space };
      }
      case 'attach-lease': {
        const lease = await this.deps.lease(receivedOffer(this.offered()));
        this.lease = lease;
        this.bag.add(lease.onRevoked(() => this.dispatch({ type: 'revoked', at: this.now() })));
        return { type: 'lease-attached', at: this.now() };
      }
      case 'probe': {
        const roundTripMs = await this.received().lease.probe();
        return { type: 'probed', at: this.now(), roundTripMs };
      }
      case 'restore': {
        const { vm, devices } = this.received();
        await vm.restoreDevices(devices);
        return { type: 'restored', at: this.now() };
      }
      case 'scan': {
        const digest = await scanMemory(this.received().vm, this.deps.pageHash, this.nextTask);
        return { type: 'scanned', at: this.now(), digest };
      }
      case 'commit': {
        const epoch = await this.received().lease.commit();
        return { type: 'committed', at: this.now(), epoch };
      }
      case 'await-alive':
        await this.received().vm.alive();
        return { type: 'alive', at: this.now() };
      case 'tell-alive':
        await this.received().lease.alive();
        return { type: 'alive-noted', at: this.now() };
      default:
        return assertNever(operation);
    }
  }

  private offered(): OfferMessage {
    if (this.message === null) throw new MigrationError('internal');
    return this.message;
  }

  /** What exists from `receiving` on (devices: from `restoring`). If the VM has been discarded, the operation fails. */
  private received(): { vm: TargetVm; lease: TargetLease; devices: Uint8Array } {
    if (this.vm === null || this.lease === null) throw new MigrationError('cancelled');
    return { vm: this.vm, lease: this.lease, devices: this.devices ?? new Uint8Array(0) };
  }

  private openSession(link: Link, migrationId: MigrationId | null): Session {
    return new LinkSession({
      link,
      clock: this.deps.clock,
      migrationId,
      parse: (payload) => this.parse(payload),
      events: {
        onControl: (message) => this.heard(message),
        onBulk: (type, payload, acknowledge) => this.apply(type, payload, acknowledge),
        onLost: ({ cause, message }) => this.dispatch({ type: 'link-lost', at: this.now(), failure: { outcome: 'failed', cause, reason: message } }),
        onBad: (error) => this.failed(error),
      },
    });
  }

  /** The versions are read before the rest of an offer, so that a newer one can be refused with a sentence. */
  private parse(payload: Uint8Array): ToTarget {
    if (this.message === null) {
      const theirs = readOfferedVersions(payload);
      if (theirs !== null && agreeOnVersion(SPOKEN_VERSIONS, theirs) === null) {
        throw new MigrationError('version-mismatch', explainVersions(SPOKEN_VERSIONS, theirs));
      }
    }
    return parseToTarget(payload);
  }

  private heard(message: ToTarget): void {
    switch (message.type) {
      case 'ping': {
        const received = this.now();
        this.session.sendControl({ type: 'pong', at: message.at, received, sent: this.now() });
        break;
      }
      case 'offer': {
        const version = agreeOnVersion(SPOKEN_VERSIONS, message.versions);
        if (version === null) throw new MigrationError('version-mismatch', explainVersions(SPOKEN_VERSIONS, message.versions));
        if (!this.session.isFor(message.migrationId as MigrationId)) throw new MigrationError('bad-message', 'The offer belongs to another migration.');
        if (this.message === null) {
          this.message = message;
          this.offer.resolve(receivedOffer(message));
        }
        this.dispatch({ type: 'offer', at: this.now(), message, version });
        break;
      }
      default:
        this.dispatch({ type: 'message', at: this.now(), message });
    }
  }

  private apply(type: 'pages' | 'devices', payload: Uint8Array, acknowledge: boolean): void {
    const { name } = this.loop.state;
    if (this.sink === null || (name !== 'receiving' && name !== 'restoring')) {
      throw new MigrationError('bad-message', `The source sent pages at a time when it cannot be right (${name}).`);
    }
    this.sink.apply(type, payload);
    if (acknowledge) this.session.sendControl({ type: 'applied', messages: this.sink.messages });
    this.tellProgress(false);
    this.gather();
  }

  /** Reports once everything that the source announced has been applied. */
  private gather(): void {
    const { awaited, sink } = this;
    if (awaited === null || sink === null || sink.messages < awaited.messages) return;
    this.awaited = null;
    if (sink.messages > awaited.messages) {
      throw new MigrationError('bad-message', `The source announced ${awaited.messages} messages of pages and sent ${sink.messages}.`);
    }
    this.devices = sink.deviceState(awaited.deviceBytes);
    this.dispatch({ type: 'gathered', at: this.now(), digest: sink.digest.value() });
  }

  private awaitLink(): void {
    this.deps.nextLink?.().then(
      (link) => {
        this.offeredLink?.close();
        this.offeredLink = link;
        this.dispatch({ type: 'link-offered', at: this.now() });
        if (this.loop.state.name !== 'ended') this.awaitLink();
      },
      // No more links will come; the limits of the states decide.
      () => undefined,
    );
  }

  private adoptLink(): void {
    const link = this.offeredLink;
    if (link === null) return;
    this.offeredLink = null;
    this.session.close();
    this.session = this.openSession(link, this.offered().migrationId as MigrationId);
    this.session.agree(this.version);
    this.session.start();
  }

  private tellProgress(atOnce: boolean): void {
    const { onProgress } = this.deps;
    const offer = this.message;
    const at = this.now();
    if (onProgress === undefined || offer === null || (!atOnce && at - this.progressAt < PROGRESS_EVERY_MS)) return;
    this.progressAt = at;
    const { migrationId: id, vmId, from, to } = receivedOffer(offer);
    const { pages, bytes } = this.sink?.totals ?? { pages: 0, bytes: 0 };
    const phase = PHASES[this.loop.state.name];
    onProgress({ id, vmId, from, to, phase, round: 0, pagesLeft: 0, pagesSent: pages, bytesSent: bytes, bytesPerSecond: 0, expectedPauseMs: 0 });
  }

  private finish(verdict: Ended['verdict']): void {
    this.session.close();
    this.bag.dispose();
    this.offeredLink?.close();
    this.offer.resolve(null);
    const { vm, lease } = this;
    if (verdict.outcome !== 'completed') {
      this.end.resolve(verdict);
    } else if (vm !== null && lease !== null) {
      this.end.resolve({ outcome: 'completed', vm, lease, epoch: verdict.epoch });
    }
  }
}

function receivedOffer(message: OfferMessage): ReceivedOffer {
  const { vmName, fingerprint, memoryBytes, verify, extra } = message;
  return {
    migrationId: message.migrationId as MigrationId,
    vmId: message.vmId as VmId,
    vmName: vmName ?? null,
    from: message.from as HostId,
    to: message.to as HostId,
    memoryBytes,
    fingerprint,
    verify,
    extra,
  };
}
