/**
 * Writes the headers of the segments that a connection sends: what each acknowledges, its window, timestamps (RFC 7323)
 * and SACK ranges. It remembers what the peer was last told, and whether an acknowledgment was delayed. The connection
 * decides when to send what.
 */
import type { ByteRing } from './byte-ring.ts';
import { SYN_WINDOW, type TcpReceiver } from './tcp-receiver.ts';
import { TcpFlag, type TcpOptions, type TcpSegment } from './segment.ts';
import { seqDiff } from './sequence.ts';
import type { TcpConnectionPorts, TcpEndpoints } from './types.ts';

/** Longest wait for an acknowledgment of ours (RFC 9293 §3.8.6.3 allows 500 ms). */
const DELAYED_ACK_MS = 40;
/** Answers to segments outside the window are spaced, so that two confused ends do not make a storm (RFC 5961 §7). */
const CHALLENGE_SPACING_MS = 100;

export class SegmentWriter {
  /** When a delayed acknowledgment must be sent; null if there is none. */
  delayedAckAt: number | null = null;
  private readonly endpoints: TcpEndpoints;
  private readonly ports: TcpConnectionPorts;
  private timestamps = false;
  private recentTimestamp = 0;
  private lastAckSent = 0;
  private challengedAt = Number.NEGATIVE_INFINITY;

  constructor(endpoints: TcpEndpoints, ports: TcpConnectionPorts) {
    this.endpoints = endpoints;
    this.ports = ports;
  }

  /** The peer's SYN arrived. `first`: its first byte; `timestamps`: they were agreed, and `recent` is its latest. */
  begin(first: number, timestamps: boolean, recent: number): void {
    this.lastAckSent = first;
    this.timestamps = timestamps;
    this.recentTimestamp = recent;
  }

  /** Notes the timestamp that is to be echoed. */
  heard(segment: TcpSegment): void {
    const timestamp = segment.options.timestamp;
    // No PAWS: nothing lingers in a virtual LAN long enough for numbers to wrap, and a guest's clock may jump.
    if (this.timestamps && timestamp !== undefined && seqDiff(segment.seq, this.lastAckSent) <= 0 && seqDiff(timestamp.value, this.recentTimestamp) > 0) {
      this.recentTimestamp = timestamp.value;
    }
  }

  /** `ack`: null without an acknowledgment. */
  syn(seq: number, ack: number | null, options: TcpOptions): void {
    const flags = ack === null ? TcpFlag.syn : TcpFlag.syn | TcpFlag.ack;
    this.emit(flags, seq, ack ?? 0, SYN_WINDOW, options, null, 0, 0);
  }

  /** `ack`: null without an acknowledgment. */
  reset(seq: number, ack: number | null): void {
    const flags = ack === null ? TcpFlag.rst : TcpFlag.rst | TcpFlag.ack;
    this.emit(flags, seq, ack ?? 0, 0, {}, null, 0, 0);
  }

  /** Everything received is acknowledged without data. */
  ack(receiver: TcpReceiver, seq: number): void {
    this.acknowledging(TcpFlag.ack, receiver, seq, null, 0, 0);
  }

  /** `length` bytes of `ring` from `offset`, and the FIN if `fin`. */
  data(receiver: TcpReceiver, seq: number, ring: ByteRing, offset: number, length: number, fin: boolean): void {
    const last = offset + length >= ring.length;
    const flags = TcpFlag.ack | (fin ? TcpFlag.fin : 0) | (last && length > 0 ? TcpFlag.psh : 0);
    this.acknowledging(flags, receiver, seq, ring, offset, length);
  }

  /** An acknowledgment may wait a little for others to join it, or for data to carry it. */
  putOffAck(now: number): void {
    this.delayedAckAt ??= now + DELAYED_ACK_MS;
  }

  /** True if a nonsensical segment may be answered now; false if one was answered just before. */
  mayChallenge(now: number): boolean {
    if (now - this.challengedAt < CHALLENGE_SPACING_MS) return false;
    this.challengedAt = now;
    return true;
  }

  private acknowledging(flags: number, receiver: TcpReceiver, seq: number, ring: ByteRing | null, offset: number, length: number): void {
    const sack = length === 0 ? receiver.sackRanges() : undefined;
    const timestamp = this.timestamps ? { value: this.ports.clock.now() >>> 0, echo: this.recentTimestamp } : undefined;
    this.lastAckSent = receiver.next;
    this.delayedAckAt = null;
    this.emit(flags, seq, receiver.next, receiver.advertise(), { timestamp, sack }, ring, offset, length);
    receiver.acknowledged();
  }

  private emit(flags: number, seq: number, ack: number, window: number, options: TcpOptions, ring: ByteRing | null, offset: number, length: number): void {
    const { localPort, remotePort } = this.endpoints;
    this.ports.send(this.endpoints, { sourcePort: localPort, destinationPort: remotePort, seq, ack, flags, window, options }, ring, offset, length);
  }
}
