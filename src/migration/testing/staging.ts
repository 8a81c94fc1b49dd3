/** A whole migration in memory: two hosts, an arbiter, a link between them, and a VM that runs at the source. */
import type { HostId, MigrationId, VmId } from '../../shared/ids.ts';
import type { Fingerprint } from '../fingerprint.ts';
import type { PageSpace } from '../ports.ts';
import type { MigrationProgress, MigrationReport } from '../report.ts';
import { startReceiver, type ReceivedOffer, type ReceiverEnd, type ReceiverHandle } from '../receiver.ts';
import { startSender, type SenderHandle, type SenderOptions } from '../sender.ts';
import { runLengthCompressor, testPageHash } from './codecs.ts';
import { memoryLinkPair, type MemoryLinkPair } from './memory-link.ts';
import type { Arbiter } from './arbiter.ts';
import { MODEL_FINGERPRINT, ModelVm, type VmOperation } from './model-vm.ts';
import type { Host, World } from './world.ts';

/** The two hosts, as messages and the arbiter name them. */
export const SOURCE_HOST = 'host-a' as HostId;
export const TARGET_HOST = 'host-b' as HostId;

/** What is there before the migration begins. */
export interface Stage<A extends Arbiter> {
  readonly world: World;
  readonly source: Host;
  readonly target: Host;
  readonly arbiter: A;
  readonly vmId: VmId;
  /** Runs at the source already; absent: a fresh one. */
  readonly sourceVm?: ModelVm | null;
}

export interface StagingOptions extends SenderOptions {
  readonly writesPerStep?: number;
  /** A dead link can be replaced. */
  readonly reconnects?: boolean;
  readonly targetFingerprint?: Fingerprint;
  readonly prepare?: (offer: ReceivedOffer, build: () => ModelVm) => Promise<ModelVm>;
  readonly extra?: unknown;
  readonly space?: PageSpace;
}

export class Staging<A extends Arbiter> {
  readonly world: World;
  readonly source: Host;
  readonly target: Host;
  readonly arbiter: A;
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
  private readonly options: StagingOptions;
  private readonly brokenAtTarget = new Map<VmOperation, Error | 'hangs'>();
  private linkAwaited: ((pair: MemoryLinkPair) => void) | null = null;

  constructor(stage: Stage<A>, options: StagingOptions) {
    this.options = options;
    this.world = stage.world;
    this.source = stage.source;
    this.target = stage.target;
    this.arbiter = stage.arbiter;
    this.sourceVm =
      stage.sourceVm ??
      ModelVm.running({
        host: this.source,
        random: this.world.random,
        space: options.space,
        writesPerStep: options.writesPerStep,
      });
    this.arbiter.plug('source', this.sourceVm);
    const migrationId = `m-${this.world.seed}-${this.world.hostCount}` as MigrationId;
    const link = this.openLink();
    this.receiver = startReceiver({
      prepare: async (_, offer) => {
        await this.target.whenPicked('builds the VM');
        const vm = await (options.prepare?.(offer, () => this.build()) ?? Promise.resolve(this.build()));
        this.targetVm = vm;
        return vm;
      },
      lease: () => this.arbiter.targetLease(this.target, migrationId),
      migrationId,
      link: link.target,
      clock: this.target.clock,
      compressor: runLengthCompressor,
      pageHash: testPageHash,
      nextTask: this.target.nextTask,
      ...(options.reconnects === true ? { nextLink: async () => (await this.awaitLink()).target } : {}),
    });
    this.sender = startSender({
      vm: this.sourceVm,
      lease: this.arbiter.sourceLease(this.source, migrationId),
      link: link.source,
      clock: this.source.clock,
      compressor: runLengthCompressor,
      pageHash: testPageHash,
      nextTask: this.source.nextTask,
      offer: {
        migrationId,
        vmId: stage.vmId,
        from: SOURCE_HOST,
        to: TARGET_HOST,
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

  /** No copy of the guest is left that could run: the owner's host is gone, or it never got the guest to run and the other host is gone. */
  get vmIsLost(): boolean {
    const { source, target, arbiter, targetVm } = this;
    if (arbiter.owner === 'source') return source.isDead;
    return target.isDead || (source.isDead && targetVm?.broken.has('run') === true && this.end !== null && this.end.outcome !== 'completed');
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
    this.arbiter.plug('target', vm);
    for (const [operation, trouble] of this.brokenAtTarget) vm.broken.set(operation, trouble);
    return vm;
  }

  private openLink(): MemoryLinkPair {
    const pair = memoryLinkPair('local', `link ${this.links.length}`);
    this.links.push(pair);
    for (const lane of pair.lanes) {
      const receiver = pair.lanes.indexOf(lane) % 2 === 0 ? this.target : this.source;
      receiver.addSource(() => (lane.waiting > 0 && !pair.stalled ? { name: `${lane.label} arrives`, run: () => lane.deliver() } : null));
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
    // A target that was frozen may be offered several links, one after another.
    this.target.defer('is offered another link', () => {
      const awaited = this.linkAwaited;
      this.linkAwaited = null;
      if (awaited === null) pair.target.close();
      else awaited(pair);
    });
    return pair.source;
  }
}
