/** Opening a connection: the options both SYNs agree on, and the repeating of ours. */
import { WINDOW_SHIFT } from './tcp-receiver.ts';
import { RetransmissionTimeout } from './retransmission-timeout.ts';
import type { TcpOptions } from './segment.ts';

/** A guest that has not answered a SYN for this long is not there. Longer than a VM's start or a relay's restart. */
const CONNECT_LIMIT_MS = 60_000;
/** The MSS of a peer that names none (RFC 9293 §3.7.1). */
const DEFAULT_MSS = 536;
/** A peer that asks for less would cost a header per byte. */
const SMALLEST_MSS = 64;
/** The option in every segment, once agreed. */
const TIMESTAMP_BYTES = 12;

/** What the peer's SYN made possible. Each option holds only if both SYNs carry it. */
export interface Agreement {
  readonly timestamps: boolean;
  readonly sack: boolean;
  /** Shift of the window fields we receive and we send. */
  readonly peerShift: number;
  readonly ourShift: number;
  /** Payload of a full segment, as we send it and as we expect it. */
  readonly sendMss: number;
  readonly receiveMss: number;
}

/** `mss`: our own. We offer every option. */
export function agree(peer: TcpOptions, mss: number): Agreement {
  const timestamps = peer.timestamp !== undefined;
  const overhead = timestamps ? TIMESTAMP_BYTES : 0;
  return {
    timestamps,
    sack: peer.sackPermitted === true,
    peerShift: peer.windowShift ?? 0,
    ourShift: peer.windowShift === undefined ? 0 : WINDOW_SHIFT,
    sendMss: Math.min(Math.max(SMALLEST_MSS, peer.mss ?? DEFAULT_MSS), mss) - overhead,
    receiveMss: mss - overhead,
  };
}

/** Options of our SYN, or of our SYN-ACK if `peer` is what the peer's SYN offered. */
export function synOptions(peer: TcpOptions | null, mss: number, now: number): TcpOptions {
  return {
    mss,
    windowShift: peer !== null && peer.windowShift === undefined ? undefined : WINDOW_SHIFT,
    sackPermitted: peer === null || peer.sackPermitted === true,
    timestamp: peer !== null && peer.timestamp === undefined ? undefined : { value: now >>> 0, echo: peer?.timestamp?.value ?? 0 },
  };
}

/** When to repeat the SYN, and when to give up. */
export class SynTimer {
  /** Null once the connection is established. */
  at: number | null = null;
  private readonly timeout = new RetransmissionTimeout();
  private readonly openedAt: number;

  constructor(now: number) {
    this.openedAt = now;
  }

  sent(now: number): void {
    this.at = now + this.timeout.ms;
  }

  due(now: number): 'nothing' | 'repeat' | 'give-up' {
    if (this.at === null || now < this.at) return 'nothing';
    if (now - this.openedAt >= CONNECT_LIMIT_MS) return 'give-up';
    this.timeout.backOff();
    return 'repeat';
  }

  /** Try now instead of at the end of a long wait. */
  nudge(now: number): void {
    if (this.at !== null) this.at = now;
  }

  /** The round trip of the SYN, or null if it was repeated (Karn). */
  established(now: number): number | null {
    this.at = null;
    return this.timeout.backedOff ? null : now - this.openedAt;
  }
}
