/**
 * The sending half of a connection: the bytes not yet acknowledged, which of them are in flight, the peer's window, the
 * retransmission timer (RFC 6298) and the zero-window probe; LossRecovery says what must be sent again. Time is passed
 * with each call; deadlines go out as numbers.
 */
import { GrowingLimit, type BufferBudget } from './buffer-budget.ts';
import { ByteRing } from './byte-ring.ts';
import { CongestionWindow } from './congestion.ts';
import { LossRecovery } from './loss-recovery.ts';
import { RetransmissionTimeout } from './retransmission-timeout.ts';
import type { SeqRange } from './segment.ts';
import { seqAdd, seqDiff } from './sequence.ts';
import type { TcpEvent } from './types.ts';

const FIRST_BUFFER_BYTES = 64 * 1024;
/**
 * Bounds the congestion window too. 50 ms of what an emulated guest takes at best (10 MB/s); more would only wait in the
 * relay's buffers, in front of the guest's other connections.
 */
export const LARGEST_SEND_BUFFER_BYTES = 512 * 1024;
/** A closed window is probed for ever while the peer answers (RFC 9293 §3.8.6.1), at least this often. */
const MAX_PERSIST_MS = 30_000;
/**
 * Silence after which a connection with data under way is given up. Far longer than any switchover: a VM may wait for its
 * relay, or its laptop may nap. RFC 9293 asks for at least 100 s; Linux waits about this long.
 */
export const GIVE_UP_MS = 15 * 60_000;

export interface TcpSenderOptions {
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
  readonly count: (event: TcpEvent) => void;
}

export interface Acknowledgment {
  readonly seq: number;
  readonly ack: number;
  /** Scaled to bytes. */
  readonly window: number;
  /** Our own timestamp, echoed: `now` of the segment that is acknowledged. */
  readonly echo: number | undefined;
  readonly sack: readonly SeqRange[] | undefined;
  /** Without payload, SYN and FIN: only such a segment can be a duplicate ACK. */
  readonly bare: boolean;
}

export class TcpSender {
  readonly ring = new ByteRing();
  readonly timeout = new RetransmissionTimeout();
  /** SND.UNA and SND.NXT */
  una: number;
  next: number;
  retransmitAt: number | null = null;
  persistAt: number | null = null;
  private readonly options: TcpSenderOptions;
  private readonly mss: number;
  private readonly limit: GrowingLimit;
  private readonly congestion: CongestionWindow;
  private readonly loss: LossRecovery;
  /** Sequence number of the ring's first byte: `una`, until the FIN is acknowledged. */
  private ringStart: number;
  private finQueued = false;
  private window: number;
  private largestWindow: number;
  private windowSeq = 0;
  private windowAck: number;
  private windowKnown = false;
  private timed: { readonly seq: number; readonly at: number } | null = null;
  private persistDoublings = 0;
  private silentSince: number | null = null;
  private lastSentAt = Number.POSITIVE_INFINITY;

  constructor(options: TcpSenderOptions) {
    this.options = options;
    this.mss = options.mss;
    this.una = options.first;
    this.next = options.first;
    this.ringStart = options.first;
    this.windowAck = options.first;
    this.window = options.window;
    this.largestWindow = options.window;
    this.limit = new GrowingLimit(FIRST_BUFFER_BYTES, LARGEST_SEND_BUFFER_BYTES, options.budget);
    this.congestion = new CongestionWindow(options.mss, LARGEST_SEND_BUFFER_BYTES);
    this.loss = new LossRecovery({ first: options.first, mss: options.mss, sack: options.sack, congestion: this.congestion, count: options.count });
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
    const sackedMore = this.loss.takeSack(acknowledgment.sack, this.una, this.next);
    const windowChanged = this.updateWindow(acknowledgment);
    if (advance > 0) this.advance(acknowledgment, advance, now);
    else if (bare && this.outstanding > 0 && (this.options.sack ? sackedMore : !windowChanged)) this.duplicate(now);
    this.loss.widenLostEdge(this.una);
    if (advance > 0) {
      this.silentSince = null;
      this.retransmitAt = this.outstanding > 0 ? now + this.timeout.ms : null;
    } else if (this.persistAt !== null) {
      this.silentSince = null;
    }
    return advance;
  }

  private updateWindow({ seq, ack, window }: Acknowledgment): boolean {
    const newer = !this.windowKnown || seqDiff(seq, this.windowSeq) > 0 || (seq === this.windowSeq && seqDiff(ack, this.windowAck) >= 0);
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
    if (this.loss.onAdvanced(ack, count, echo)) this.resendHead();
  }

  private duplicate(now: number): void {
    const verdict = this.loss.onDuplicate(this.una, this.next, now);
    if (verdict === 'nothing') return;
    this.resendHead();
    if (verdict === 'head-lost-again') this.retransmitAt = now + this.timeout.ms;
  }

  private resendHead(): void {
    this.loss.resentBelow(this.send(this.una, this.loss.endOfHeadSegment(this.una, this.next)));
  }

  /** Sends whatever may be sent now. Called after every event. */
  output(now: number): void {
    for (;;) {
      const pipe = this.loss.inFlight(this.una, this.next);
      const room = this.congestion.bytes - pipe;
      const lost = this.loss.firstLost();
      if (lost !== null) {
        if (room < this.mss && pipe > 0) break;
        this.loss.resentBelow(this.send(lost, this.loss.endOfLost(lost)));
        continue;
      }
      if (!this.sendNew(room, pipe, now)) break;
    }
    if (this.outstanding > 0) {
      this.persistAt = null;
      this.retransmitAt ??= now + this.timeout.ms;
    } else {
      this.retransmitAt = null;
      // Data waits and nothing is in flight: only the peer's window can be the reason.
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
    // After an idle period nothing paces the next bytes, and a guest's network card has room for few (RFC 5681 §4.1).
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
      if (from === this.una) this.loss.onHeadResent(from, this.next);
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
      this.loss.onTimeout(this.una, this.next, now);
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
    this.loss.release();
    this.limit.release();
    this.retransmitAt = null;
    this.persistAt = null;
  }
}
