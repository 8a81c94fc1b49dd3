/**
 * What the source's runner does with the VM and the page stream, strictly in order: a resume never overtakes a pause,
 * and the dirty log is never stopped before it was started.
 */
import type { Clock } from '../shared/clock.ts';
import type { ClockOffset } from './clock-offset.ts';
import { MigrationError } from './migration-error.ts';
import { scanMemory } from './page-digest.ts';
import type { PageStream } from './page-stream.ts';
import type { PageHash, SourceVm } from './ports.ts';
import type { ToTarget } from './messages.ts';

/** A round ends when all but this share of it is applied, so that the end of a large round overlaps with the next. */
const OVERLAP = 1 / 8;
/**
 * Or when the unapplied bytes fill the round trip at most this many times. Over a distance rounds do not wait for one
 * another: the guest has less time to write, and the link is never idle, because idle time closes its congestion
 * window. Twice, so that the window can grow.
 */
const WAYS_FULL = 2;

export interface SourceWorkOptions {
  readonly vm: SourceVm;
  readonly stream: PageStream;
  readonly clock: Pick<Clock, 'now'>;
  readonly pageHash: PageHash;
  readonly nextTask: () => Promise<void>;
}

export class SourceWork {
  private readonly options: SourceWorkOptions;
  private last: Promise<unknown> = Promise.resolve();
  private deviceBytes = 0;

  constructor(options: SourceWorkOptions) {
    this.options = options;
  }

  /** Calls the VM once all earlier calls are done. */
  onVm<T>(ask: (vm: SourceVm) => T | Promise<T>): Promise<T> {
    const done = this.last.then(() => ask(this.options.vm));
    this.last = done.catch(() => undefined);
    return done;
  }

  /** Resolves when all calls to the VM so far are done. */
  async idle(): Promise<void> {
    await this.last;
  }

  async sendRound(): Promise<void> {
    const { stream, nextTask } = this.options;
    const before = stream.totals.bytes;
    // Even if there is nothing to send: rounds that follow one another must give the guest and the link their turns.
    await nextTask();
    await stream.flush();
    const sent = stream.totals.bytes - before;
    await stream.applied(stream.bytesPerSecond === null ? 0 : Math.max(sent * OVERLAP, stream.bytesOnTheWay * WAYS_FULL));
  }

  /** Takes the dirty log and adds its pages to the pending ones, whether or not anybody still waits for them; returns their number. */
  collect(): Promise<number> {
    return this.onVm(async (vm) => {
      const dirty = await vm.takeDirty();
      this.options.stream.add(dirty);
      return dirty.count();
    });
  }

  /** Starts sending the last pages before the devices are saved, so that both are in flight together. Returns when the pages began to flow. */
  async sendLast(): Promise<number> {
    const { stream, nextTask, clock } = this.options;
    stream.guestStopped();
    await this.collect();
    const flushed = stream.flush();
    // Awaited below; until then its failure must not count as unhandled.
    flushed.catch(() => undefined);
    await Promise.race([flushed, nextTask()]);
    const pagesFlowAt = clock.now();
    const devices = await this.onVm((vm) => vm.saveDevices());
    await flushed;
    await stream.sendDevices(devices);
    this.deviceBytes = devices.length;
    return pagesFlowAt;
  }

  async resume(): Promise<void> {
    this.options.stream.guestRunsAgain();
    await this.onVm((vm) => vm.resume());
  }

  /** What the target must know to go on; `stoppedAt` is on the source's clock. */
  switchover(stoppedAt: number, bulkMessages: number, offset: ClockOffset): ToTarget {
    return {
      type: 'switchover',
      bulkMessages,
      deviceBytes: this.deviceBytes,
      digest: this.options.stream.digest.value(),
      stoppedAt: stoppedAt + offset.offsetMs,
    };
  }

  /** The digest of all memory. Rejects as soon as `wanted` says that nobody waits for it any more. */
  scan(wanted: () => boolean): Promise<string> {
    const { vm, pageHash, nextTask } = this.options;
    return scanMemory(vm, pageHash, async () => {
      await nextTask();
      if (!wanted()) throw new MigrationError('cancelled');
    });
  }
}
