/** A whole migration in memory: two hosts, the relay, a link between them, and a VM that runs at the source. */
import type { HostId, MigrationId, VmId } from '../../shared/ids.ts';
import type { Fingerprint } from '../fingerprint.ts';
import type { PageSpace } from '../ports.ts';
import type { MigrationProgress, MigrationReport } from '../report.ts';
import { startReceiver, type ReceivedOffer, type ReceiverEnd, type ReceiverHandle } from '../receiver.ts';
import { startSender, type SenderHandle, type SenderOptions } from '../sender.ts';
import { runLengthCompressor, testPageHash } from './codecs.ts';
import { memoryLinkPair, type MemoryLinkPair } from './memory-link.ts';
import { ModelArbiter } from './model-arbiter.ts';
import { MODEL_FINGERPRINT, ModelVm, type VmOperation } from './model-vm.ts';
import { World, type Host } from './world.ts';

/** How far the two hosts' clocks are apart. */
export const CLOCK_OFFSET_MS = 123_456;

export interface RehearsalOptions extends SenderOptions {
  readonly seed?: number;
  readonly writesPerStep?: number;
  /** A dead link can be replaced. */
  readonly reconnects?: boolean;
  readonly targetFingerprint?: Fingerprint;
  readonly prepare?: (offer: ReceivedOffer, build: () => ModelVm) => Promise<ModelVm>;
  readonly extra?: unknown;
  /** Goes on in the world of a rehearsal that is over: with the VM at its source if it stayed, else from its target on. */
  readonly after?: Rehearsal;
  readonly space?: PageSpace;
}

export class Rehearsal {
  readonly world: World;
  readonly source: Host;
  readonly target: Host;
  readonly relay: Host;
  readonly arbiter: ModelArbiter;
  readonly sourceVm: ModelVm;
  targetVm: ModelVm | null = null;
  readonly links: MemoryLinkPair[] = [];
  readonly log: string[] = [];
  readonly progress: MigrationProgress[] = [];
  readonly waiting: (string | null)[] = [];
  readonly sender: SenderHandle;
  readonly receiver: ReceiverHandle;
  report: MigrationReport | null = null;
  end: ReceiverEnd | null = null;
  private readonly options: RehearsalOptions;
  private readonly brokenAtTarget = new Map<VmOperation, Error | 'hangs'>();
  private linkAwaited: ((pair: MemoryLinkPair) => void) | null = null;

  constructor(options: RehearsalOptions = {}) {
    this.options = options;
    const { after, seed = after?.world.seed ?? 1 } = options;
    const moved = after?.report?.outcome === 'completed';
    this.world = after?.world ?? new World(seed);
    this.source = after === undefined ? this.world.addHost('source') : moved ? after.target : after.source;
    this.target = this.world.addHost(after === undefined ? 'target' : `target ${this.world.hostCount}`, CLOCK_OFFSET_MS);
    this.relay = this.world.addHost('relay');
    this.arbiter = new ModelArbiter(this.world, this.relay);
    this.sourceVm = (moved ? after.targetVm : after?.sourceVm) ?? ModelVm.running({
      host: this.source,
      random: this.world.random,
      space: options.space,
      writesPerStep: options.writesPerStep,
    });
    this.sourceVm.onStep = (counter) => this.arbiter.frame('source', counter);
    const link = this.openLink();
    this.receiver = startReceiver({
      prepare: async (_, offer) => {
        await this.target.whenPicked('builds the VM');
        const vm = await (options.prepare?.(offer, () => this.build()) ?? Promise.resolve(this.build()));
        this.targetVm = vm;
        return vm;
      },
      lease: () => this.arbiter.targetLease(this.target),
      link: link.target,
      clock: this.target.clock,
      compressor: runLengthCompressor,
      pageHash: testPageHash,
      nextTask: this.target.nextTask,
      ...(options.reconnects === true ? { nextLink: async () => (await this.awaitLink()).target } : {}),
    });
    this.sender = startSender({
      vm: this.sourceVm,
      lease: this.arbiter.sourceLease(this.source),
      link: link.source,
      clock: this.source.clock,
      compressor: runLengthCompressor,
      pageHash: testPageHash,
      nextTask: this.source.nextTask,
      offer: {
        migrationId: `m-${seed}-${this.world.hostCount}` as MigrationId,
        vmId: 'vm-1' as VmId,
        from: 'host-a' as HostId,
        to: 'host-b' as HostId,
        vmName: 'pine',
        memoryBytes: this.sourceVm.fingerprint.memoryBytes,
        extra: options.extra ?? { mac: '02:00:00:00:00:01', password: 'grüße' },
      },
      options,
      onProgress: (progress) => this.progress.push(progress),
      onWaiting: (what) => this.waiting.push(what),
      onLog: (sentence) => {
        this.log.push(sentence);
        this.world.note(`log: ${sentence}`);
      },
      ...(options.reconnects === true ? { replaceLink: () => this.replaceLink() } : {}),
    });
    void this.sender.done.then((report) => {
      this.report = report;
      this.world.note(`source ends: ${report.outcome} ${report.reason ?? ''}`);
    });
    void this.receiver.done.then((end) => {
      this.end = end;
      this.world.note(`target ends: ${end.outcome} ${end.outcome === 'completed' ? '' : end.reason}`);
    });
  }

  /** Both sides have ended, or are dead. */
  get over(): boolean {
    return (this.report !== null || this.source.isDead) && (this.end !== null || this.target.isDead);
  }

  /** Copies of the guest that execute. */
  get runningCopies(): number {
    return Number(this.sourceVm.running && this.source.isUp) + Number(this.targetVm?.running === true && this.target.isUp);
  }

  /** Runs the world until both sides ended; `each` after every step. Throws with the story if they do not end. */
  async finish(each: () => void = () => undefined, limit = 20_000): Promise<void> {
    if (!(await this.world.run(() => this.over, each, limit))) {
      throw new Error(`The migration does not end: ${this.world.story()}`);
    }
  }

  /** Runs the world until `reached`. */
  async until(reached: () => boolean): Promise<void> {
    if (!(await this.world.run(() => reached() || this.over))) throw new Error(`It never came to that: ${this.world.story()}`);
  }

  currentLink(): MemoryLinkPair {
    const link = this.links.at(-1);
    if (link === undefined) throw new Error('No link was opened');
    return link;
  }

  /** A tab is closed or crashes. `noticed`: the other end of the link hears of it at once. */
  kill(side: 'source' | 'target', noticed: boolean): void {
    const link = this.currentLink();
    this[side].kill();
    if (noticed) (side === 'source' ? link.target : link.source).close();
    else link.mute();
  }

  /** An operation of a VM will fail or hang from now on. */
  breakVm(side: 'source' | 'target', operation: VmOperation, trouble: Error | 'hangs'): void {
    this.world.note(`${side}'s ${operation} is broken`);
    if (side === 'source') this.sourceVm.broken.set(operation, trouble);
    else if (this.targetVm === null) this.brokenAtTarget.set(operation, trouble);
    else this.targetVm.broken.set(operation, trouble);
  }

  /** Both hosts notice that the link has gone. */
  cutLink(): void {
    this.world.note('the link is cut');
    this.currentLink().cut();
  }

  private build(): ModelVm {
    const vm = new ModelVm({
      host: this.target,
      random: this.world.random,
      fingerprint: this.options.targetFingerprint ?? MODEL_FINGERPRINT,
      space: this.options.space,
      writesPerStep: this.options.writesPerStep,
    });
    vm.onStep = (counter) => this.arbiter.frame('target', counter);
    for (const [operation, trouble] of this.brokenAtTarget) vm.broken.set(operation, trouble);
    return vm;
  }

  private openLink(): MemoryLinkPair {
    const pair = memoryLinkPair('local', `link ${this.links.length}`);
    this.links.push(pair);
    for (const lane of pair.lanes) {
      const receiver = pair.lanes.indexOf(lane) % 2 === 0 ? this.target : this.source;
      receiver.addSource(() => (lane.waiting > 0 ? { name: `${lane.label} arrives`, run: () => lane.deliver() } : null));
    }
    return pair;
  }

  private awaitLink(): Promise<MemoryLinkPair> {
    return new Promise((resolve) => {
      this.linkAwaited = resolve;
    });
  }

  private async replaceLink(): Promise<MemoryLinkPair['source']> {
    await this.source.whenPicked('opens another link');
    const pair = this.openLink();
    const awaited = this.linkAwaited;
    this.linkAwaited = null;
    this.target.defer('is offered another link', () => awaited?.(pair));
    return pair.source;
  }
}
