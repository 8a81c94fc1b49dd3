/** How often an address may send a wrong key: a few times at once, as people do, and then once a second. */
import type { Clock } from '../../shared/clock.ts';
import { AddressBuckets } from '../limits/address-buckets.ts';
import { WRONG_KEYS_AT_ONCE, WRONG_KEYS_PER_SECOND } from '../limits/server-limits.ts';

export class KeyTries {
  private readonly buckets: AddressBuckets;

  constructor(clock: Pick<Clock, 'now'>) {
    this.buckets = new AddressBuckets(clock, WRONG_KEYS_PER_SECOND, WRONG_KEYS_AT_ONCE);
  }

  /** True if a key from this address is checked. Null: an address without limits. */
  allows(address: string | null): boolean {
    return this.buckets.has(address);
  }

  wrong(address: string | null): void {
    this.buckets.take(address);
  }
}
