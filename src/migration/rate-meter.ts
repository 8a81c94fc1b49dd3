/** The meter's window: long enough for a steady figure, short enough to follow a link that changes. */
const WINDOW_BYTES = 8 * 1024 * 1024;
const WINDOW_MS = 2000;
/** At least this many bytes are kept, however long they took: with fewer, one retransmitted packet would look like a slow link. */
const LEAST_WINDOW_BYTES = 256 * 1024;

interface Interval {
  readonly ms: number;
  readonly bytes: number;
}

/** Messages that the target reported as applied in one acknowledgement. Times in milliseconds of the source's monotonic clock. */
export interface AppliedBatch {
  readonly bytes: number;
  readonly firstSentAt: number;
  readonly lastSentAt: number;
  /** When the acknowledgement arrived. */
  readonly at: number;
  /** Shortest known round trip of the link; null before it was measured. */
  readonly roundTripMs: number | null;
}

/**
 * Measures how fast the target applies bytes over one link. Neither the round trip counts nor time with nothing in
 * flight: work on a batch starts when it could have arrived at the earliest, or when the previous batch was done.
 */
export class RateMeter {
  private intervals: Interval[] = [];
  private doneAt = Number.NEGATIVE_INFINITY;
  private leastRoundTripMs = Number.POSITIVE_INFINITY;

  applied({ bytes, firstSentAt, lastSentAt, at, roundTripMs }: AppliedBatch): void {
    // The acknowledgement itself bounds the round trip, even if the pings found the target busy.
    this.leastRoundTripMs = Math.min(this.leastRoundTripMs, at - lastSentAt, roundTripMs ?? Number.POSITIVE_INFINITY);
    const begunAt = Math.max(this.doneAt, firstSentAt + this.leastRoundTripMs);
    this.doneAt = at;
    this.intervals.push({ ms: Math.max(0, at - begunAt), bytes });
    while (this.outgrown()) this.intervals.shift();
  }

  /** Bytes a second; null before anything was measured. */
  bytesPerSecond(): number | null {
    const { bytes, ms } = this.total();
    return bytes === 0 ? null : (bytes / Math.max(ms, 0.1)) * 1000;
  }

  /** The window is full without its oldest interval. */
  private outgrown(): boolean {
    const [oldest] = this.intervals;
    if (oldest === undefined || this.intervals.length === 1) return false;
    const { bytes, ms } = this.total();
    return bytes > WINDOW_BYTES || (ms > WINDOW_MS && bytes - oldest.bytes >= LEAST_WINDOW_BYTES);
  }

  private total(): Interval {
    return this.intervals.reduce((sum, interval) => ({ ms: sum.ms + interval.ms, bytes: sum.bytes + interval.bytes }), { ms: 0, bytes: 0 });
  }
}
