/**
 * Reassembles fragmented datagrams (RFC 791, with RFC 5722's answer to overlaps: the whole datagram is refused).
 * Bounded in datagrams, bytes and time; needs no timer, because old datagrams are dropped when room is needed.
 */
import type { GatewayCounters } from './gateway-counters.ts';
import type { Ipv4Packet } from './ipv4.ts';

/** Incomplete datagrams, of all guests and of one guest. */
const MAX_DATAGRAMS = 64;
const MAX_DATAGRAMS_PER_SOURCE = 16;
/** The longest payload an IPv4 datagram can have. */
const MAX_PAYLOAD_BYTES = 65_515;
/** A whole 64 KiB datagram has 45 fragments in a LAN; no honest sender makes smaller pieces. */
const MAX_FRAGMENTS = 128;
/** RFC 791 suggests 15 s. */
const LIFETIME_MS = 15_000;

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly payload: Uint8Array;
}

interface Partial {
  readonly source: number;
  readonly expiresAt: number;
  readonly pieces: Piece[];
  /** The packet with offset 0: its header is used for the whole datagram. */
  first: Ipv4Packet | null;
  /** Known once the last fragment came. */
  total: number | null;
  /** An overlap was seen: the remaining fragments of this datagram are dropped. */
  poisoned: boolean;
}

export class Reassembler {
  private readonly partials = new Map<string, Partial>();
  private readonly counters: GatewayCounters;

  constructor(counters: GatewayCounters) {
    this.counters = counters;
  }

  /** The whole datagram, if `packet` is one or completes one. */
  accept(packet: Ipv4Packet, now: number): Ipv4Packet | null {
    if (packet.fragmentOffset === 0 && !packet.moreFragments) return packet;
    const start = packet.fragmentOffset;
    const end = start + packet.payload.length;
    const uneven = packet.moreFragments && packet.payload.length % 8 !== 0;
    if (packet.payload.length === 0 || uneven || end > MAX_PAYLOAD_BYTES) {
      this.counters.add('fragments-malformed');
      return null;
    }
    this.expire(now);
    const key = `${packet.source} ${packet.destination} ${packet.protocol} ${packet.id}`;
    const partial = this.partials.get(key) ?? this.begin(key, packet.source, now);
    if (partial === null || partial.poisoned) return null;
    this.add(partial, packet, { start, end, payload: packet.payload });
    const whole = this.complete(partial);
    if (whole !== null) this.partials.delete(key);
    return whole;
  }

  /** Incomplete datagrams. */
  get size(): number {
    return this.partials.size;
  }

  private begin(key: string, source: number, now: number): Partial | null {
    let ofSource = 0;
    for (const partial of this.partials.values()) if (partial.source === source) ofSource++;
    if (this.partials.size >= MAX_DATAGRAMS || ofSource >= MAX_DATAGRAMS_PER_SOURCE) {
      this.counters.add('fragments-too-many');
      return null;
    }
    const partial: Partial = { source, expiresAt: now + LIFETIME_MS, pieces: [], first: null, total: null, poisoned: false };
    this.partials.set(key, partial);
    return partial;
  }

  private add(partial: Partial, packet: Ipv4Packet, piece: Piece): void {
    for (const other of partial.pieces) {
      // The network may deliver a fragment twice.
      if (other.start === piece.start && other.end === piece.end) return;
      if (piece.start < other.end && other.start < piece.end) {
        this.poison(partial, 'fragments-overlapping');
        return;
      }
    }
    const total = packet.moreFragments ? partial.total : piece.end;
    const contradicts = partial.total !== null && total !== partial.total;
    const beyond = total !== null && (piece.end > total || partial.pieces.some((other) => other.end > total));
    if (contradicts || beyond || partial.pieces.length >= MAX_FRAGMENTS) {
      this.poison(partial, 'fragments-malformed');
      return;
    }
    partial.total = total;
    // Copied, so that a fragment does not keep alive the message in which it arrived.
    partial.pieces.push({ ...piece, payload: piece.payload.slice() });
    if (piece.start === 0) partial.first = { ...packet, payload: new Uint8Array(0), bytes: packet.bytes.slice() };
  }

  private poison(partial: Partial, reason: 'fragments-overlapping' | 'fragments-malformed'): void {
    this.counters.add(reason);
    partial.poisoned = true;
    partial.pieces.length = 0;
    partial.first = null;
  }

  private complete(partial: Partial): Ipv4Packet | null {
    const { first, total, pieces } = partial;
    if (first === null || total === null) return null;
    // The pieces do not overlap: they are complete if their lengths add up.
    if (pieces.reduce((sum, piece) => sum + piece.payload.length, 0) !== total) return null;
    const payload = new Uint8Array(total);
    for (const piece of pieces) payload.set(piece.payload, piece.start);
    return { ...first, moreFragments: false, payload };
  }

  private expire(now: number): void {
    for (const [key, partial] of this.partials) {
      if (partial.expiresAt > now) break;
      this.partials.delete(key);
      if (!partial.poisoned) this.counters.add('fragments-expired');
    }
  }
}
