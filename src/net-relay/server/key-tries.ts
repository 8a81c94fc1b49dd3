/** How often an address may be wrong about a key: a few times at once, as people are, and then once a second. */
import type { Clock } from '../../shared/clock.ts';
import { MAX_ADDRESSES_REMEMBERED, WRONG_KEYS_AT_ONCE, WRONG_KEYS_PER_SECOND } from '../limits/server-limits.ts';
import { TokenBucket } from '../limits/token-bucket.ts';

export class KeyTries {
  private readonly clock: Pick<Clock, 'now'>;
  /** The address that was wrong last stands last. */
  private readonly byAddress = new Map<string, TokenBucket>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.clock = clock;
  }

  /** A key of this address is looked at. Null: an address without limits. */
  allows(address: string | null): boolean {
    return address === null || (this.byAddress.get(address)?.has(this.clock.now(), 1) ?? true);
  }

  wrong(address: string | null): void {
    if (address === null) return;
    const bucket = this.byAddress.get(address) ?? new TokenBucket(WRONG_KEYS_PER_SECOND, WRONG_KEYS_AT_ONCE, this.clock.now());
    bucket.take(this.clock.now());
    this.byAddress.delete(address);
    this.byAddress.set(address, bucket);
    const [oldest] = this.byAddress.keys();
    if (this.byAddress.size > MAX_ADDRESSES_REMEMBERED && oldest !== undefined) this.byAddress.delete(oldest);
  }
}
