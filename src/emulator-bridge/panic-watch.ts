/** Watches a panic that the guest's kernel has reported but not finished printing: waits until it is printed, then says that it is over. */
import { panicStage } from './panic-report.ts';

export interface PanicWatchOptions {
  /** The emulator's counter of instructions, which wraps at 32 bits. */
  readonly instructionCount: () => number;
  /** The end of the console's output. */
  readonly printed: () => Uint8Array;
}

export class PanicWatch {
  private readonly options: PanicWatchOptions;
  /** The instruction counter when the kernel reported the panic. */
  private reportedAt: number | null = null;

  constructor(options: PanicWatchOptions) {
    this.options = options;
  }

  /** The kernel reported a panic, inside a tick. */
  reported(): void {
    this.reportedAt = this.options.instructionCount();
  }

  /** Instructions executed since the report; null: there is none. */
  since(): number | null {
    return this.reportedAt === null ? null : (this.options.instructionCount() - this.reportedAt) >>> 0;
  }

  /** On another host, or after a reset (null). */
  continueFrom(since: number | null): void {
    this.reportedAt = since === null ? null : (this.options.instructionCount() - since) >>> 0;
  }

  /**
   * The sentence, once the kernel has nothing more to print. Null if it still prints, if there is no panic, or if the
   * kernel restarts the machine. `stops`: the CPU stops, so nothing more will be printed.
   */
  over(stops = false): string | null {
    const since = this.since();
    if (since === null) return null;
    const stage = panicStage(new TextDecoder().decode(this.options.printed()), stops ? Number.POSITIVE_INFINITY : since);
    if (stage.kind === 'printing') return null;
    this.reportedAt = null;
    return stage.kind === 'over' ? stage.sentence : null;
  }
}
