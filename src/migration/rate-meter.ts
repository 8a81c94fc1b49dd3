/** Memory of the meter: enough for a steady figure, short enough to follow a link that changes. */
const WINDOW_BYTES = 8 * 1024 * 1024;
const WINDOW_MS = 2000;

interface Interval {
  readonly ms: number;
  readonly bytes: number;
}

/**
 * Measures how fast the target applies bytes, over the time in which there was something to apply. Times in milliseconds
 * of one monotonic clock.
 */
export class RateMeter {
  private intervals: Interval[] = [];
  private busySince: number | null = null;

  /** Something was sent; the first since everything was acknowledged starts the stopwatch. */
  sent(at: number): void {
    this.busySince ??= at;
  }

  /** The target applied `bytes`; `outstanding`: more is on its way. */
  acknowledged(at: number, bytes: number, outstanding: boolean): void {
    if (this.busySince === null) return;
    this.intervals.push({ ms: at - this.busySince, bytes });
    this.busySince = outstanding ? at : null;
    let total = this.total();
    while (this.intervals.length > 1 && (total.bytes > WINDOW_BYTES || total.ms > WINDOW_MS)) {
      this.intervals.shift();
      total = this.total();
    }
  }

  /** Bytes a second; null before anything was measured. */
  bytesPerSecond(): number | null {
    const { bytes, ms } = this.total();
    return bytes === 0 ? null : (bytes / Math.max(ms, 0.1)) * 1000;
  }

  private total(): Interval {
    return this.intervals.reduce((sum, interval) => ({ ms: sum.ms + interval.ms, bytes: sum.bytes + interval.bytes }), { ms: 0, bytes: 0 });
  }
}
