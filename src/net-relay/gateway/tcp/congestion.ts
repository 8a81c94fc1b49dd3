/** Congestion control: slow start, congestion avoidance and NewReno's halving (RFC 5681, 6582), counted in bytes. */

/** RFC 6928. */
const INITIAL_WINDOW_SEGMENTS = 10;

export class CongestionWindow {
  bytes: number;
  private threshold = Number.POSITIVE_INFINITY;
  private readonly mss: number;
  private readonly limit: number;
  private beforeTimeout: { readonly bytes: number; readonly threshold: number } | null = null;

  /** `limit`: no larger than the send buffer, which bounds the flight anyway. */
  constructor(mss: number, limit: number) {
    this.mss = mss;
    this.limit = limit;
    this.bytes = INITIAL_WINDOW_SEGMENTS * mss;
  }

  /** New data was acknowledged outside of fast recovery. */
  onAcknowledged(count: number): void {
    if (this.bytes < this.threshold) this.bytes += Math.min(count, 2 * this.mss);
    else this.bytes += Math.max(1, Math.floor((this.mss * Math.min(count, 2 * this.mss)) / this.bytes));
    if (this.bytes > this.limit) this.bytes = this.limit;
  }

  /** A loss was seen in the stream of ACKs, with `flight` bytes in flight. */
  onLoss(flight: number): void {
    this.threshold = Math.max(flight / 2, 2 * this.mss);
    this.bytes = this.threshold;
    this.beforeTimeout = null;
  }

  /** Nothing came back in time. Only the first timeout of a series halves the threshold. */
  onTimeout(flight: number, first: boolean): void {
    if (first) {
      this.beforeTimeout = { bytes: this.bytes, threshold: this.threshold };
      this.threshold = Math.max(flight / 2, 2 * this.mss);
    }
    this.bytes = this.mss;
  }

  /** Nothing was sent for longer than a timeout: start over, but keep what was learned. */
  restart(): void {
    this.bytes = Math.min(this.bytes, INITIAL_WINDOW_SEGMENTS * this.mss);
  }

  /** The timeout was spurious (the guest was only stopped for a while): take it back (RFC 4015). */
  undoTimeout(): void {
    if (this.beforeTimeout === null) return;
    this.bytes = this.beforeTimeout.bytes;
    this.threshold = this.beforeTimeout.threshold;
    this.beforeTimeout = null;
  }
}
