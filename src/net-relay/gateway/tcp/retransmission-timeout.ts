/** The retransmission timeout of RFC 6298, in milliseconds. */

/** Before the first measurement (RFC 6298, 2.1). */
const INITIAL_RTO_MS = 1000;
/** A LAN answers in a few ms; below this a busy guest's delayed ACK (up to 200 ms) would look like a loss. */
const MIN_RTO_MS = 200;
/** RFC 6298, 2.5. `nudge` on the connection cuts the wait short when a guest is known to be back. */
const MAX_RTO_MS = 60_000;
/** Timers are no finer than this. */
const GRANULARITY_MS = 1;

export class RetransmissionTimeout {
  private smoothed: number | null = null;
  private variance = 0;
  private base = INITIAL_RTO_MS;
  private doublings = 0;

  /** A round trip that was not confused by a retransmission (Karn), measured in ms. */
  sample(rttMs: number): void {
    if (this.smoothed === null) {
      this.smoothed = rttMs;
      this.variance = rttMs / 2;
    } else {
      this.variance += (Math.abs(this.smoothed - rttMs) - this.variance) / 4;
      this.smoothed += (rttMs - this.smoothed) / 8;
    }
    this.base = Math.min(MAX_RTO_MS, Math.max(MIN_RTO_MS, this.smoothed + Math.max(GRANULARITY_MS, 4 * this.variance)));
    this.doublings = 0;
  }

  /** After a timeout: wait twice as long (RFC 6298, 5.5). */
  backOff(): void {
    if (this.ms < MAX_RTO_MS) this.doublings++;
  }

  /** The peer answered: no reason to wait longer than measured. */
  endBackOff(): void {
    this.doublings = 0;
  }

  get backedOff(): boolean {
    return this.doublings > 0;
  }

  get ms(): number {
    return Math.min(MAX_RTO_MS, this.base * 2 ** this.doublings);
  }

  /** Smoothed round trip, or null before the first measurement. */
  get smoothedMs(): number | null {
    return this.smoothed;
  }
}
