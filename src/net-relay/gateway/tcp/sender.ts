/**
 * The sending half of a connection: bytes not yet acknowledged, what of them is under way, the peer's window, loss
 * recovery (RFC 5681, 6582, a simplified 6675), the retransmission timer (RFC 6298) and the zero-window probe. Time
 * comes in with each call; deadlines go out as numbers.
 */
import { GrowingLimit, type BufferBudget } from './buffer-budget.ts';
import { ByteRing } from './byte-ring.ts';
import { CongestionWindow } from './congestion.ts';
import { RetransmissionTimeout } from './retransmission-timeout.ts';
import type { SeqRange } from './segment.ts';
import { SeqRanges } from './seq-ranges.ts';
import { seqAdd, seqDiff, seqMax } from './sequence.ts';
import type { TcpEvent } from './types.ts';

const FIRST_BUFFER_BYTES = 64 * 1024;
/**
 * Bounds the congestion window too. 50 ms of what an emulated guest takes at best (10 MB/s); more would only wait in the
 * relay's buffers, in front of the guest's other connections.
 */
export const LARGEST_SEND_BUFFER_BYTES = 512 * 1024;
/** What the peer holds out of order; beyond this its reports are ignored and the data sent again. */
const MAX_SACKED_RANGES = 256;
/** RFC 5681: the third duplicate tells a loss from reordering. */
const DUPLICATE_ACKS_FOR_LOSS = 3;
/** Probing a closed window goes on for ever while it is answered (RFC 9293 §3.8.6.1), never more seldom than this. */
const MAX_PERSIST_MS = 30_000;
/**
 * Silence after which a connection with data under way is given up. Far longer than any switchover: a VM may wait for its
 * relay, or its laptop may nap. RFC 9293 asks for at least 100 s; Linux waits about this long.
 */
export const GIVE_UP_MS = 15 * 60_000;

export interface SenderOptions {
  /** First data byte's sequence number (ISS + 1). */
  readonly first: number;
  /** Payload of a full segment. */
  readonly mss: number;
  readonly window: number;
  readonly sack: boolean;
  readonly budget: BufferBudget;
  /** Puts `length` bytes from `ring` at `offset`, and the FIN if `fin`, on the wire at `seq`. */
  transmit(seq: number, offset: number, length: number, fin: boolean): void;
  /** A retransmission, a timeout, … happened; for the counters. */
  count(event: TcpEvent): void;
}

export interface Acknowledgment {
  readonly seq: number;
  readonly ack: number;
  /** Scaled to bytes. */
  readonly window: number;
  /** Our own timestamp, echoed: `now` of the segment that is acknowledged. */
  readonly echo: number | undefined;
  readonly sack: readonly SeqRange[] | undefined;
  /** Without payload, SYN and FIN: only such a one can be a duplicate ACK. */
  readonly bare: boolean;
}

interface Recovery {
  readonly kind: 'fast' | 'timeout';
  /** Ends once everything sent before it is acknowledged. */
  readonly point: number;
  readonly startedAt: number;
}

export class Sender {
  readonly ring = new ByteRing();
  readonly timeout = new RetransmissionTimeout();
  /** SND.UNA and SND.NXT */
  una: number;
  next: number;
  retransmitAt: number | null = null;
  persistAt: number | null = null;
  private readonly options: SenderOptions;
  private readonly mss: number;
  private readonly limit: GrowingLimit;
  private readonly congestion: CongestionWindow;
  private readonly sacked = new SeqRanges(MAX_SACKED_RANGES);
  /** Sequence number of the ring's first byte: `una`, until the FIN is acknowledged. */
  private ringStart: number;
  private finQueued = false;
  private window: number;
  private largestWindow: number;
  private windowSeq = 0;
  private windowAck: number;
  private windowKnown = false;
  private duplicates = 0;
  private recovery: Recovery | null = null;
  /** While recovering: below `lostEdge`, what is not sacked and at or above `retransmitNext` is lost and to be sent again. */
  private retransmitNext: number;
  private lostEdge: number;
  private lastRecoveryPoint: number;
  private headResent: { readonly seq: number; readonly edge: number } | null = null;
  private timed: { readonly seq: number; readonly at: number } | null = null;
  private persistDoublings = 0;
  private silentSince: number | null = null;
  private lastSentAt = Number.POSITIVE_INFINITY;

  constructor(options: SenderOptions) {
    this.options = options;
    this.mss = options.mss;
    this.una = options.first;
    this.next = options.first;
    this.ringStart = options.first;
    this.retransmitNext = options.first;
    this.lostEdge = options.first;
    this.lastRecoveryPoint = options.first;
    this.windowAck = options.first;
    this.window = options.window;
    this.largestWindow = options.window;
    this.limit = new GrowingLimit(FIRST_BUFFER_BYTES, LARGEST_SEND_BUFFER_BYTES, options.budget);
    this.congestion = new CongestionWindow(options.mss, LARGEST_SEND_BUFFER_BYTES);
  }

  /** Bytes that may be queued now. */
  get free(): number {
    return this.finQueued ? 0 : Math.max(0, this.limit.bytes - this.ring.length);
  }

  get finished(): boolean {
    return this.finQueued && this.una === seqAdd(this.ringStart, 1) && this.ring.length === 0;
  }

  /** Everything that may be acknowledged, the FIN included. */
  private get end(): number {
    return seqAdd(this.dataEnd, this.finQueued ? 1 : 0);
  }

  private get dataEnd(): number {
    return seqAdd(this.ringStart, this.ring.length);
  }

  private get outstanding(): number {
    return seqDiff(this.next, this.una);
  }

  /** Queues as much as fits; returns how many bytes were taken. */
  append(data: Uint8Array): number {
    if (data.length > this.free && this.congestion.bytes * 2 > this.limit.bytes) this.limit.grow();
    const taken = Math.min(data.length, this.free);
    if (taken > 0) this.ring.append(taken === data.length ? data : data.subarray(0, taken));
    return taken;
  }

  /** No more bytes will follow. */
  finish(): void {
    this.finQueued = true;
  }

  /** Takes an ACK that acknowledges nothing beyond `next`. Returns how far `una` moved. */
  acknowledge(acknowledgment: Acknowledgment, now: number): number {
    const { ack, bare } = acknowledgment;
    const advance = seqDiff(ack, this.una);
    if (advance < 0) return 0;
    const sackedMore = this.takeSack(acknowledgment.sack);
    const windowChanged = this.updateWindow(acknowledgment);
    if (advance > 0) this.advance(acknowledgment, advance, now);
    else if (bare && this.outstanding > 0 && (this.options.sack ? sackedMore : !windowChanged)) this.duplicate(now);
    if (this.recovery?.kind === 'fast') this.widenLostEdge();
    if (advance > 0) {
      this.silentSince = null;
      this.retransmitAt = this.outstanding > 0 ? now + this.timeout.ms : null;
    } else if (this.persistAt !== null) {
      this.silentSince = null;
    }
    return advance;
  }

  private takeSack(ranges: readonly SeqRange[] | undefined): boolean {
    if (ranges === undefined || !this.options.sack) return false;
    let more = false;
    for (const range of ranges) {
      if (seqDiff(range.start, this.una) <= 0 || seqDiff(range.end, this.next) > 0 || seqDiff(range.end, range.start) <= 0) continue;
      if (this.sacked.countIn(range.start, range.end) < seqDiff(range.end, range.start)) {
        more = this.sacked.add(range.start, range.end) || more;
      }
    }
    return more;
  }

  private updateWindow({ seq, ack, window }: Acknowledgment): boolean {
    const newer =
      !this.windowKnown || seqDiff(seq, this.windowSeq) > 0 || (seq === this.windowSeq && seqDiff(ack, this.windowAck) >= 0);
    if (!newer) return false;
    const changed = window !== this.window;
    this.windowKnown = true;
    this.windowSeq = seq;
    this.windowAck = ack;
    this.window = window;
    if (window > this.largestWindow) this.largestWindow = window;
    if (window > 0) this.persistDoublings = 0;
    return changed;
  }

  private advance({ ack, echo }: Acknowledgment, count: number, now: number): void {
    if (echo !== undefined) {
      const rtt = seqDiff(now >>> 0, echo);
      if (rtt >= 0) this.timeout.sample(rtt);
    } else if (this.timed !== null && seqDiff(ack, this.timed.seq) >= 0) {
      this.timeout.sample(now - this.timed.at);
      this.timed = null;
    }
    this.timeout.endBackOff();
    const data = Math.min(count, this.ring.length);
    this.ring.drop(data);
    this.ringStart = seqAdd(this.ringStart, data);
    this.una = ack;
    this.sacked.dropBelow(ack);
    this.retransmitNext = seqMax(this.retransmitNext, ack);
    this.lostEdge = seqMax(this.lostEdge, ack);
    const recovery = this.recovery;
    if (recovery === null) {
      this.duplicates = 0;
      this.congestion.onAcknowledged(count);
      return;
    }
    if (recovery.kind === 'timeout' && this.headResent !== null) {
      this.headResent = null;
      // The echo is older than the retransmission: the original had arrived, the guest was only stopped (RFC 3522).
      if (echo !== undefined && seqDiff(echo, recovery.startedAt >>> 0) < 0) {
        this.options.count('tcp-spurious-timeouts');
        this.congestion.undoTimeout();
        this.endRecovery();
        return;
      }
    }
    if (seqDiff(ack, recovery.point) >= 0) {
      this.endRecovery();
    } else if (recovery.kind === 'timeout') {
      this.congestion.onAcknowledged(count);
    } else {
      // A partial ACK: the next hole is lost as well, and repeated at once (RFC 6582), unless SACK shows no hole.
      this.duplicates = Math.max(0, this.duplicates - Math.ceil(count / this.mss));
      const hole = !this.options.sack || !this.sacked.empty;
      if (hole && this.retransmitNext === ack) this.resendHead();
    }
  }

  private endRecovery(): void {
    this.recovery = null;
    this.duplicates = 0;
    this.headResent = null;
    this.retransmitNext = this.una;
    this.lostEdge = this.una;
  }

  private duplicate(now: number): void {
    this.duplicates++;
    if (this.recovery !== null) {
      this.resendLostHead(now);
      return;
    }
    const muchIsSacked = this.sacked.countIn(this.una, this.next) > DUPLICATE_ACKS_FOR_LOSS * this.mss;
    if (this.duplicates < DUPLICATE_ACKS_FOR_LOSS && !muchIsSacked) return;
    // Duplicates of what was already sent again must not start a second recovery (RFC 6582 §4.1).
    if (seqDiff(this.una, this.lastRecoveryPoint) < 0 && !this.options.sack) return;
    this.congestion.onLoss(this.outstanding);
    this.recovery = { kind: 'fast', point: this.next, startedAt: now };
    this.lastRecoveryPoint = this.next;
    this.retransmitNext = this.una;
    this.lostEdge = this.endOfHeadSegment();
    this.resendHead();
  }

  /** The head was sent again, and yet the peer has data that was sent after that: it was lost once more. */
  private resendLostHead(now: number): void {
    const resent = this.headResent;
    if (resent?.seq !== this.una || this.recovery?.kind !== 'fast') return;
    if (seqDiff(this.sacked.highestEnd(this.una), resent.edge) < DUPLICATE_ACKS_FOR_LOSS * this.mss) return;
    this.resendHead();
    this.retransmitAt = now + this.timeout.ms;
  }

  private resendHead(): void {
    const end = this.send(this.una, this.endOfHeadSegment());
    this.retransmitNext = seqMax(this.retransmitNext, end);
  }

  private endOfHeadSegment(): number {
    const end = seqAdd(this.una, this.mss);
    return seqDiff(end, this.next) < 0 ? end : this.next;
  }

  private widenLostEdge(): void {
    if (this.sacked.empty) return;
    const edge = seqAdd(this.sacked.highestEnd(this.una), -DUPLICATE_ACKS_FOR_LOSS * this.mss);
    this.lostEdge = seqMax(this.lostEdge, edge);
  }

  /** Bytes that are believed to be in the network. */
  private pipe(): number {
    const outstanding = this.outstanding;
    if (this.recovery === null && this.duplicates === 0 && this.sacked.empty) return outstanding;
    const arrived = this.options.sack
      ? this.sacked.countIn(this.una, this.next)
      : Math.max(0, Math.min(this.duplicates * this.mss, outstanding - this.mss));
    const lostSpan = this.recovery === null ? 0 : seqDiff(this.lostEdge, this.retransmitNext);
    const lost = lostSpan <= 0 ? 0 : lostSpan - this.sacked.countIn(this.retransmitNext, this.lostEdge);
    return Math.max(0, outstanding - arrived - lost);
  }

  /** Sends whatever may be sent now. Called after every event. */
  output(now: number): void {
    for (;;) {
      const pipe = this.pipe();
      const room = this.congestion.bytes - pipe;
      if (this.recovery !== null && seqDiff(this.retransmitNext, this.lostEdge) < 0) {
        const start = this.sacked.endOfRangeAt(this.retransmitNext);
        if (seqDiff(start, this.lostEdge) >= 0) {
          this.retransmitNext = this.lostEdge;
          continue;
        }
        if (room < this.mss && pipe > 0) break;
        const limit = this.sacked.nextStartAfter(start, this.lostEdge);
        this.retransmitNext = this.send(start, seqDiff(limit, this.lostEdge) < 0 ? limit : this.lostEdge);
        continue;
      }
      if (!this.sendNew(room, pipe, now)) break;
    }
    if (this.outstanding > 0) {
      this.persistAt = null;
      this.retransmitAt ??= now + this.timeout.ms;
    } else {
      this.retransmitAt = null;
      // Data waits and nothing is under way: only the peer's window can be the reason.
      this.persistAt = seqDiff(this.end, this.next) > 0 ? (this.persistAt ?? now + this.persistDelay()) : null;
    }
  }

  private sendNew(room: number, pipe: number, now: number): boolean {
    const waiting = seqDiff(this.end, this.next);
    if (waiting <= 0) return false;
    const usable = this.window - this.outstanding;
    const length = Math.min(this.mss, waiting, usable);
    if (length <= 0 || (room < length && pipe > 0)) return false;
    // Sender's silly window avoidance (RFC 9293 §3.8.6.2.1): a short segment only as the last, or if the window is small.
    if (length < this.mss && length < waiting && this.outstanding > 0 && length < this.largestWindow / 2) return false;
    const from = this.next;
    // After a rest nothing paces the next bytes, and a guest's network card has room for few (RFC 5681 §4.1).
    if (pipe === 0 && now - this.lastSentAt > this.timeout.ms) this.congestion.restart();
    this.lastSentAt = now;
    this.next = this.send(from, seqAdd(from, length));
    this.timed ??= { seq: this.next, at: now };
    return true;
  }

  /** Sends one segment of [from, to), at most a full one; returns its end. */
  private send(from: number, to: number): number {
    const inData = Math.min(this.mss, seqDiff(to, from), seqDiff(this.dataEnd, from));
    const length = Math.max(0, inData);
    const afterData = seqAdd(from, length);
    const fin = this.finQueued && afterData === this.dataEnd && seqDiff(to, afterData) > 0;
    if (seqDiff(from, this.next) < 0) {
      this.options.count('tcp-retransmitted');
      this.timed = null;
      if (from === this.una) this.headResent = { seq: from, edge: this.next };
    }
    this.options.transmit(from, seqDiff(from, this.ringStart), length, fin);
    const end = seqAdd(afterData, fin ? 1 : 0);
    // A retransmission may carry the FIN along for the first time.
    if (seqDiff(end, this.next) > 0) this.next = end;
    return end;
  }

  private persistDelay(): number {
    return Math.min(MAX_PERSIST_MS, this.timeout.ms * 2 ** this.persistDoublings);
  }

  /** Called when a deadline has passed. 'give-up' if the peer was silent for too long. */
  onDeadline(now: number): 'go-on' | 'probe' | 'give-up' {
    if (this.retransmitAt !== null && now >= this.retransmitAt) {
      if (this.isSilentTooLong(now)) return 'give-up';
      this.options.count('tcp-timeouts');
      const first = this.recovery?.kind !== 'timeout';
      this.congestion.onTimeout(this.outstanding, first);
      // A peer may have thrown away what it reported (RFC 2018 §8): do not rely on it any longer.
      if (!first) this.sacked.clear();
      this.recovery = { kind: 'timeout', point: this.next, startedAt: first ? now : (this.recovery?.startedAt ?? now) };
      this.duplicates = 0;
      this.retransmitNext = this.una;
      this.lostEdge = this.next;
      this.lastRecoveryPoint = this.next;
      this.timeout.backOff();
      this.retransmitAt = now + this.timeout.ms;
      this.output(now);
      return 'go-on';
    }
    if (this.persistAt !== null && now >= this.persistAt) {
      if (this.isSilentTooLong(now)) return 'give-up';
      this.persistDoublings++;
      this.persistAt = now + this.persistDelay();
      this.options.count('tcp-window-probes');
      return 'probe';
    }
    return 'go-on';
  }

  private isSilentTooLong(now: number): boolean {
    this.silentSince ??= now;
    return now - this.silentSince > GIVE_UP_MS;
  }

  /** The peer is known to be back: try now instead of at the end of a long wait. */
  nudge(now: number): void {
    if (this.retransmitAt !== null && this.timeout.backedOff) this.retransmitAt = now;
    if (this.persistAt !== null) this.persistAt = now;
  }

  /** Frees the memory. */
  release(): void {
    this.ring.clear();
    this.sacked.clear();
    this.limit.release();
    this.retransmitAt = null;
    this.persistAt = null;
  }
}
