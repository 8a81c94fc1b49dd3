/** One token bucket per address; the most recently used ones are remembered. */
import type { Clock } from '../../shared/clock.ts';
import { MAX_ADDRESSES_REMEMBERED } from './server-limits.ts';
import { TokenBucket } from './token-bucket.ts';

export class AddressBuckets {
  private readonly clock: Pick<Clock, 'now'>;
  private readonly perSecond: number;
  private readonly burst: number;
  /** The most recently used address comes last. */
  private readonly byAddress = new Map<string, TokenBucket>();

  constructor(clock: Pick<Clock, 'now'>, perSecond: number, burst: number) {
    this.clock = clock;
    this.perSecond = perSecond;
    this.burst = burst;
  }

  /** True if `count` tokens are left; negative: if no more than that many are owed. Null: an address without limits. */
  has(address: string | null, count = 1): boolean {
    return address === null || (this.byAddress.get(address)?.has(this.clock.now(), count) ?? true);
  }

  /** Takes a token if there is one. */
  take(address: string | null): void {
    if (address !== null) this.bucketOf(address).take(this.clock.now());
  }

  /** Takes a token, which may still have to be earned; returns in how many milliseconds it will be. */
  borrow(address: string | null): number {
    return address === null ? 0 : this.bucketOf(address).borrow(this.clock.now(), 1);
  }

  private bucketOf(address: string): TokenBucket {
    const bucket = this.byAddress.get(address) ?? new TokenBucket(this.perSecond, this.burst, this.clock.now());
    this.byAddress.delete(address);
    this.byAddress.set(address, bucket);
    const [oldest] = this.byAddress.keys();
    if (this.byAddress.size > MAX_ADDRESSES_REMEMBERED && oldest !== undefined) this.byAddress.delete(oldest);
    return bucket;
  }
}
