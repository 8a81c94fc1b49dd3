/** One token bucket for each address; those that were used last are remembered. */
import type { Clock } from '../../shared/clock.ts';
import { MAX_ADDRESSES_REMEMBERED } from './server-limits.ts';
import { TokenBucket } from './token-bucket.ts';

export class AddressBuckets {
  private readonly clock: Pick<Clock, 'now'>;
  private readonly perSecond: number;
  private readonly burst: number;
  /** The address that was used last stands last. */
  private readonly byAddress = new Map<string, TokenBucket>();

  constructor(clock: Pick<Clock, 'now'>, perSecond: number, burst: number) {
    this.clock = clock;
    this.perSecond = perSecond;
    this.burst = burst;
  }

  /** Whether so many are left; negative: whether no more than that are owed. Null: an address without limits. */
  has(address: string | null, count = 1): boolean {
    return address === null || (this.byAddress.get(address)?.has(this.clock.now(), count) ?? true);
  }

  /** Takes one if there is one. */
  take(address: string | null): void {
    if (address !== null) this.bucketOf(address).take(this.clock.now());
  }

  /** Takes one, which may have to be earned yet; in how many milliseconds it is. */
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
