/** A rate limit: `perSecond` on average, bursts of up to `burst`. Time is passed in, in milliseconds. */
export class TokenBucket {
  private readonly perMs: number;
  private readonly burst: number;
  private tokens: number;
  private at: number;

  constructor(perSecond: number, burst: number, now: number) {
    this.perMs = perSecond / 1000;
    this.burst = burst;
    this.tokens = burst;
    this.at = now;
  }

  /** Takes tokens; if there are not that many, takes none and returns false. */
  take(now: number, count = 1): boolean {
    this.earn(now);
    if (this.tokens < count) return false;
    this.tokens -= count;
    return true;
  }

  /** Would take() succeed? */
  has(now: number, count: number): boolean {
    this.earn(now);
    return this.tokens >= count;
  }

  /** Takes tokens that may still have to be earned; returns in how many milliseconds they will be, 0 if they were there. */
  borrow(now: number, count: number): number {
    this.earn(now);
    this.tokens -= count;
    return Math.max(0, -this.tokens / this.perMs);
  }

  private earn(now: number): void {
    this.tokens = Math.min(this.burst, this.tokens + Math.max(0, now - this.at) * this.perMs);
    this.at = now;
  }
}
