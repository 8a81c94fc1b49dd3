import type { Clock } from '../shared/clock.ts';
import { ABSENT_CLEANUP_MS, ABSENT_EXPIRE_MS, MAX_ABSENT_BYTES, MAX_ABSENT_BYTES_PER_PEER } from './signalling-limits.ts';

/** After this time peer has surely discarded a message: its queue expires as a whole, at a timer tick, and the tick may be a little late. */
const GONE_MS = ABSENT_EXPIRE_MS + 2 * ABSENT_CLEANUP_MS;

interface Absent {
  bytes: number;
}

/** Counts the bytes in peer's queues for peers that are not connected. The queues themselves belong to peer and have no limit. */
export class AbsentPeers {
  private readonly clock: Pick<Clock, 'setTimeout'>;
  private readonly absent = new Map<string, Absent>();
  private total = 0;

  constructor(clock: Pick<Clock, 'setTimeout'>) {
    this.clock = clock;
  }

  get bytes(): number {
    return this.total;
  }

  /** Counts a message for `id`; false if too much waits already. */
  add(id: string, bytes: number): boolean {
    const known = this.absent.get(id);
    if ((known?.bytes ?? 0) + bytes > MAX_ABSENT_BYTES_PER_PEER || this.total + bytes > MAX_ABSENT_BYTES) return false;
    const peer = known ?? { bytes: 0 };
    this.absent.set(id, peer);
    peer.bytes += bytes;
    this.total += bytes;
    this.clock.setTimeout(() => {
      if (this.absent.get(id) !== peer) return;
      peer.bytes -= bytes;
      this.total -= bytes;
      if (peer.bytes === 0) this.absent.delete(id);
    }, GONE_MS);
    return true;
  }

  /** `id` is connected now and has received what waited for it. */
  arrived(id: string): void {
    this.total -= this.absent.get(id)?.bytes ?? 0;
    this.absent.delete(id);
  }
}
