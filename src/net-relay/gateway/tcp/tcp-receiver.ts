/**
 * The receiving half of a connection: a buffer of bytes in order, behind it the bytes that arrived early, the window
 * that is advertised, and the decision when to acknowledge. Knows nothing of states, of flags other than the caller's,
 * or of timers.
 */
import { GrowingLimit, type BufferBudget } from './buffer-budget.ts';
import { ByteRing } from './byte-ring.ts';
import { MAX_SACK_RANGES, type SeqRange } from './segment.ts';
import { SeqRanges } from './seq-ranges.ts';
import { seqAdd, seqDiff } from './sequence.ts';

/** Granted to every connection; a shell or a small request never needs more. */
const FIRST_WINDOW_BYTES = 128 * 1024;
/** 20 ms of a 100 MB/s download: more than a guest's round trip needs. */
const LARGEST_WINDOW_BYTES = 2 * 1024 * 1024;
/** The largest window is 2 MiB < 65535 << 6. */
export const WINDOW_SHIFT = 6;
/** What a SYN offers; its window field is never scaled. */
export const SYN_WINDOW = 0xffff;
/** Holes in what came early; beyond this further segments are dropped and come again. */
const MAX_EARLY_RANGES = 128;
/** The first segments are acknowledged at once, so that the peer's slow start gets going. */
const QUICK_ACKS = 16;

/** What a segment's payload led to. */
export type Acceptance = 'in-order' | 'early' | 'old' | 'beyond-window' | 'dropped';

export class TcpReceiver {
  /** RCV.NXT */
  next: number;
  private readonly ring = new ByteRing();
  private readonly early = new SeqRanges(MAX_EARLY_RANGES);
  private readonly limit: GrowingLimit;
  private readonly mss: number;
  /** Right edge of the window that the peer knows; never moves left. */
  private edge: number;
  private latestEarly: number | null = null;
  private takenSinceGrowth = 0;
  private unacknowledged = 0;
  private quickAcks = QUICK_ACKS;

  private readonly shift: number;

  /** `shift`: the agreed scaling of our window field, 0 if there is none. The SYN offered SYN_WINDOW. */
  constructor(first: number, mss: number, shift: number, budget: BufferBudget) {
    this.next = first;
    this.shift = shift;
    this.mss = mss;
    this.limit = new GrowingLimit(FIRST_WINDOW_BYTES, LARGEST_WINDOW_BYTES, budget);
    this.edge = seqAdd(first, SYN_WINDOW);
  }

  /** Bytes waiting to be read. */
  get readable(): number {
    return this.ring.length;
  }

  /** Bytes of memory held. */
  get allocated(): number {
    return this.ring.allocated;
  }

  /** The room that is left, as far as the window field can express it. */
  private get free(): number {
    return Math.min(Math.max(0, this.limit.bytes - this.ring.length), 0xffff * 2 ** this.shift);
  }

  /** The window field of a segment that goes out now; from then on the peer knows the window. */
  advertise(): number {
    const wanted = seqAdd(this.next, this.free);
    const gain = seqDiff(wanted, this.edge);
    // Silly window avoidance (RFC 9293 §3.8.6.2.2): open it in steps worth a segment.
    if (gain >= Math.min(this.limit.bytes / 2, 2 * this.mss)) this.edge = wanted;
    const window = Math.max(0, seqDiff(this.edge, this.next));
    // Rounded up, so that the edge never moves left; the ring has room for the few bytes more.
    const field = Math.min(0xffff, Math.ceil(window / 2 ** this.shift));
    this.edge = seqAdd(this.next, field * 2 ** this.shift);
    return field;
  }

  /** True if enough was read that the peer should be told of the wider window now. */
  get windowUpdateDue(): boolean {
    const window = Math.max(0, seqDiff(this.edge, this.next));
    return this.free - window >= Math.max(2 * this.mss, this.limit.bytes / 4);
  }

  /** True if any byte of [seq, seq + length) may be taken, or, for length 0, if seq is in the window. */
  isAcceptable(seq: number, length: number): boolean {
    const window = seqDiff(this.edge, this.next);
    const from = seqDiff(seq, this.next);
    if (length === 0) return from >= 0 && from <= window;
    return from < window && from + length > 0;
  }

  /** Takes what is new and in the window. */
  accept(seq: number, payload: Uint8Array): Acceptance {
    let offset = seqDiff(seq, this.next);
    let data = payload;
    if (offset < 0) {
      if (-offset >= data.length) return 'old';
      data = data.subarray(-offset);
      offset = 0;
    }
    const space = seqDiff(this.edge, this.next) - offset;
    if (space <= 0) return 'beyond-window';
    if (data.length > space) data = data.subarray(0, space);
    if (offset === 0) {
      this.ring.append(data);
      this.next = seqAdd(this.next, data.length);
      this.unacknowledged += data.length;
      if (this.early.empty) return 'in-order';
      const end = this.early.endOfRangeAt(this.next);
      this.ring.commit(seqDiff(end, this.next));
      this.next = end;
      this.early.dropBelow(end);
      // A hole was filled: the peer is waiting to hear it.
      this.quickAcks = Math.max(this.quickAcks, 1);
      return 'in-order';
    }
    const start = seqAdd(this.next, offset);
    if (!this.early.add(start, seqAdd(start, data.length))) return 'dropped';
    this.ring.writeAhead(offset, data);
    this.latestEarly = start;
    return 'early';
  }

  /** Removes and returns at most `limit` bytes. */
  read(limit: number): Uint8Array {
    const data = this.ring.take(limit, !this.early.empty);
    this.takenSinceGrowth += data.length;
    if (this.takenSinceGrowth >= this.limit.bytes) {
      this.takenSinceGrowth = 0;
      this.limit.grow();
    }
    return data;
  }

  /** The ranges to report, the one that changed last first (RFC 2018 §4). */
  sackRanges(): readonly SeqRange[] {
    const ranges = this.early.all;
    if (ranges.length === 0) return ranges;
    const latest = this.latestEarly;
    const first = latest === null ? undefined : ranges.find((range) => seqDiff(range.start, latest) <= 0 && seqDiff(latest, range.end) < 0);
    if (first === undefined) return ranges.slice(0, MAX_SACK_RANGES);
    return [first, ...ranges.filter((range) => range !== first)].slice(0, MAX_SACK_RANGES);
  }

  /** How soon an in-order segment wants its acknowledgment: every second full segment at once (RFC 9293 §3.8.6.3). */
  acknowledgmentDue(): 'now' | 'later' | 'none' {
    if (this.unacknowledged === 0) return 'none';
    if (this.quickAcks > 0 || !this.early.empty || this.unacknowledged >= 2 * this.mss) return 'now';
    return 'later';
  }

  /** An ACK of everything so far was sent. */
  acknowledged(): void {
    if (this.unacknowledged > 0 && this.quickAcks > 0) this.quickAcks--;
    this.unacknowledged = 0;
  }

  /** Nothing more is accepted; what is in order can still be read. */
  stop(): void {
    this.early.clear();
    this.limit.release();
    this.edge = this.next;
  }
}
