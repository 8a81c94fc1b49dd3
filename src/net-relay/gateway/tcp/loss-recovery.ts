/**
 * What a sender knows of the bytes it has in flight: which ones the peer reported (SACK), which are lost and must be
 * sent again, and when a recovery starts and ends (RFC 5681, 6582, a simplified 6675). It moves the congestion window
 * and sends nothing itself. `una` and `next` are passed with each call: SND.UNA and SND.NXT.
 */
import type { CongestionWindow } from './congestion.ts';
import type { SeqRange } from './segment.ts';
import { SeqRanges } from './seq-ranges.ts';
import { seqAdd, seqDiff, seqMax } from './sequence.ts';
import type { TcpEvent } from './types.ts';

/** What the peer holds out of order; beyond this its reports are ignored and the data sent again. */
const MAX_SACKED_RANGES = 256;
/** RFC 5681: the third duplicate tells a loss from reordering. */
const DUPLICATE_ACKS_FOR_LOSS = 3;

export interface LossRecoveryOptions {
  /** First data byte's sequence number (ISS + 1). */
  readonly first: number;
  /** Payload of a full segment. */
  readonly mss: number;
  readonly sack: boolean;
  readonly congestion: CongestionWindow;
  readonly count: (event: TcpEvent) => void;
}

interface Recovery {
  readonly kind: 'fast' | 'timeout';
  /** Ends once everything sent before it is acknowledged. */
  readonly point: number;
  readonly startedAt: number;
}

export class LossRecovery {
  private readonly options: LossRecoveryOptions;
  private readonly mss: number;
  private readonly congestion: CongestionWindow;
  private readonly sacked = new SeqRanges(MAX_SACKED_RANGES);
  private duplicates = 0;
  private recovery: Recovery | null = null;
  /** While recovering: below `lostEdge`, what is not sacked and at or above `retransmitNext` is lost and to be sent again. */
  private retransmitNext: number;
  private lostEdge: number;
  private lastRecoveryPoint: number;
  private headResent: { readonly seq: number; readonly edge: number } | null = null;

  constructor(options: LossRecoveryOptions) {
    this.options = options;
    this.mss = options.mss;
    this.congestion = options.congestion;
    this.retransmitNext = options.first;
    this.lostEdge = options.first;
    this.lastRecoveryPoint = options.first;
  }

  // --- acknowledgments -----------------------------------------------------------------------------------------------

  /** Takes the ranges that the peer reports it holds; true if they are more than it reported before. */
  takeSack(ranges: readonly SeqRange[] | undefined, una: number, next: number): boolean {
    if (ranges === undefined || !this.options.sack) return false;
    let more = false;
    for (const range of ranges) {
      if (seqDiff(range.start, una) <= 0 || seqDiff(range.end, next) > 0 || seqDiff(range.end, range.start) <= 0) continue;
      if (this.sacked.countIn(range.start, range.end) < seqDiff(range.end, range.start)) {
        more = this.sacked.add(range.start, range.end) || more;
      }
    }
    return more;
  }

  /**
   * The last `count` bytes below `una` were acknowledged for the first time. `echo`: our timestamp that came back. True
   * if the segment at `una` is to be sent again at once.
   */
  onAdvanced(una: number, count: number, echo: number | undefined): boolean {
    this.sacked.dropBelow(una);
    this.retransmitNext = seqMax(this.retransmitNext, una);
    this.lostEdge = seqMax(this.lostEdge, una);
    const recovery = this.recovery;
    if (recovery === null) {
      this.duplicates = 0;
      this.congestion.onAcknowledged(count);
      return false;
    }
    if (recovery.kind === 'timeout' && this.headResent !== null) {
      this.headResent = null;
      // The echo is older than the retransmission: the original had arrived, the guest was only stopped (RFC 3522).
      if (echo !== undefined && seqDiff(echo, recovery.startedAt >>> 0) < 0) {
        this.options.count('tcp-spurious-timeouts');
        this.congestion.undoTimeout();
        this.endRecovery(una);
        return false;
      }
    }
    if (seqDiff(una, recovery.point) >= 0) {
      this.endRecovery(una);
      return false;
    }
    if (recovery.kind === 'timeout') {
      this.congestion.onAcknowledged(count);
      return false;
    }
    // A partial ACK: the next hole is lost as well, and repeated at once (RFC 6582), unless SACK shows no hole.
    this.duplicates = Math.max(0, this.duplicates - Math.ceil(count / this.mss));
    const hole = !this.options.sack || !this.sacked.empty;
    return hole && this.retransmitNext === una;
  }

  /** A duplicate ACK arrived. Says whether the segment at `una` must be sent again, for the first time or once more. */
  onDuplicate(una: number, next: number, now: number): 'nothing' | 'head-lost' | 'head-lost-again' {
    this.duplicates++;
    if (this.recovery !== null) return this.isResentHeadLost(una) ? 'head-lost-again' : 'nothing';
    const muchIsSacked = this.sacked.countIn(una, next) > DUPLICATE_ACKS_FOR_LOSS * this.mss;
    if (this.duplicates < DUPLICATE_ACKS_FOR_LOSS && !muchIsSacked) return 'nothing';
    // Duplicates of what was already sent again must not start a second recovery (RFC 6582 §4.1).
    if (seqDiff(una, this.lastRecoveryPoint) < 0 && !this.options.sack) return 'nothing';
    this.congestion.onLoss(seqDiff(next, una));
    this.recovery = { kind: 'fast', point: next, startedAt: now };
    this.lastRecoveryPoint = next;
    this.retransmitNext = una;
    this.lostEdge = this.endOfHeadSegment(una, next);
    return 'head-lost';
  }

  /** After an acknowledgment was processed: what lies far enough below the highest byte reported is lost too. */
  widenLostEdge(una: number): void {
    if (this.recovery?.kind !== 'fast' || this.sacked.empty) return;
    const edge = seqAdd(this.sacked.highestEnd(una), -DUPLICATE_ACKS_FOR_LOSS * this.mss);
    this.lostEdge = seqMax(this.lostEdge, edge);
  }

  /** The head was sent again, but the peer has data that was sent after that: the head was lost once more. */
  private isResentHeadLost(una: number): boolean {
    const resent = this.headResent;
    if (resent?.seq !== una || this.recovery?.kind !== 'fast') return false;
    return seqDiff(this.sacked.highestEnd(una), resent.edge) >= DUPLICATE_ACKS_FOR_LOSS * this.mss;
  }

  private endRecovery(una: number): void {
    this.recovery = null;
    this.duplicates = 0;
    this.headResent = null;
    this.retransmitNext = una;
    this.lostEdge = una;
  }

  // --- time ----------------------------------------------------------------------------------------------------------

  /** Nothing came back in time: everything under way counts as lost. */
  onTimeout(una: number, next: number, now: number): void {
    const first = this.recovery?.kind !== 'timeout';
    this.congestion.onTimeout(seqDiff(next, una), first);
    // A peer may have thrown away what it reported (RFC 2018 §8): do not rely on it any longer.
    if (!first) this.sacked.clear();
    this.recovery = { kind: 'timeout', point: next, startedAt: first ? now : (this.recovery?.startedAt ?? now) };
    this.duplicates = 0;
    this.retransmitNext = una;
    this.lostEdge = next;
    this.lastRecoveryPoint = next;
  }

  // --- sending -------------------------------------------------------------------------------------------------------

  /** Bytes that are believed to be in the network. */
  inFlight(una: number, next: number): number {
    const outstanding = seqDiff(next, una);
    if (this.recovery === null && this.duplicates === 0 && this.sacked.empty) return outstanding;
    const arrived = this.options.sack ? this.sacked.countIn(una, next) : Math.max(0, Math.min(this.duplicates * this.mss, outstanding - this.mss));
    const lostSpan = this.recovery === null ? 0 : seqDiff(this.lostEdge, this.retransmitNext);
    const lost = lostSpan <= 0 ? 0 : lostSpan - this.sacked.countIn(this.retransmitNext, this.lostEdge);
    return Math.max(0, outstanding - arrived - lost);
  }

  /** The position of the first byte that is lost and not sent again yet; null if there is none. */
  firstLost(): number | null {
    if (this.recovery === null || seqDiff(this.retransmitNext, this.lostEdge) >= 0) return null;
    const start = this.sacked.endOfRangeAt(this.retransmitNext);
    if (seqDiff(start, this.lostEdge) < 0) return start;
    this.retransmitNext = this.lostEdge;
    return null;
  }

  /** The end of the hole that begins at `start`, as `firstLost` gave it. */
  endOfLost(start: number): number {
    const limit = this.sacked.nextStartAfter(start, this.lostEdge);
    return seqDiff(limit, this.lostEdge) < 0 ? limit : this.lostEdge;
  }

  /** Where the first segment under way ends. */
  endOfHeadSegment(una: number, next: number): number {
    const end = seqAdd(una, this.mss);
    return seqDiff(end, next) < 0 ? end : next;
  }

  /** The segment at `una` goes out again, after everything below `next`. */
  onHeadResent(una: number, next: number): void {
    this.headResent = { seq: una, edge: next };
  }

  /** What was lost below `end` has been sent again. */
  resentBelow(end: number): void {
    this.retransmitNext = seqMax(this.retransmitNext, end);
  }

  /** Frees the memory. */
  release(): void {
    this.sacked.clear();
  }
}
