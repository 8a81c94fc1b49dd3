/**
 * How fast the relay reads what its clients send. Messages and bytes are counted once per receiver. Nothing is refused:
 * a socket that sends faster is read more slowly, and then TCP slows the sender down.
 */
import { TokenBucket } from './token-bucket.ts';

/** Limits for messages and for bytes: the average rate per second, and the burst. */
export interface PaceLimits {
  readonly messagesPerSecond: number;
  readonly messageBurst: number;
  readonly bytesPerSecond: number;
  readonly byteBurst: number;
}

/** The pace of one socket, or of all sockets that share it. */
export class Pace {
  private readonly messages: TokenBucket;
  private readonly bytes: TokenBucket;

  constructor(limits: PaceLimits, now: number) {
    this.messages = new TokenBucket(limits.messagesPerSecond, limits.messageBurst, now);
    this.bytes = new TokenBucket(limits.bytesPerSecond, limits.byteBurst, now);
  }

  /** Returns for how many milliseconds nothing more should be read. */
  charge(now: number, messages: number, bytes: number): number {
    return Math.max(this.messages.borrow(now, messages), this.bytes.borrow(now, bytes));
  }
}

/** One pace per caller address, for as long as the address has an open socket. */
export class AddressPaces {
  private readonly limits: PaceLimits;
  private readonly byAddress = new Map<string, { readonly pace: Pace; sockets: number }>();

  constructor(limits: PaceLimits) {
    this.limits = limits;
  }

  get size(): number {
    return this.byAddress.size;
  }

  /** Sockets that are open now. */
  socketsOf(address: string): number {
    return this.byAddress.get(address)?.sockets ?? 0;
  }

  /** Returns the pace for one more socket of this address; call `leave` when that socket is closed. */
  enter(address: string, now: number): Pace {
    const known = this.byAddress.get(address);
    if (known !== undefined) {
      known.sockets += 1;
      return known.pace;
    }
    const pace = new Pace(this.limits, now);
    this.byAddress.set(address, { pace, sockets: 1 });
    return pace;
  }

  leave(address: string): void {
    const known = this.byAddress.get(address);
    if (known === undefined) return;
    known.sockets -= 1;
    if (known.sockets === 0) this.byAddress.delete(address);
  }
}
