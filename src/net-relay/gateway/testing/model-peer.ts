/**
 * A guest's TCP after the text of the standard, written independently of the gateway's: no timestamps, no SACK, no
 * scaling, no congestion control, everything kept in plain arrays. It checks what it receives against its own window,
 * and is slow.
 */
import type { Clock } from '../../../shared/clock.ts';
import type { Disposable } from '../../../shared/disposable.ts';
import { TcpFlag, type TcpSegment } from '../tcp/segment.ts';

const WINDOW = 20_000;
const MSS = 1000;
const REPEAT_MS = 300;

export class ModelPeer {
  received: number[] = [];
  /** Protocol violations by the other side. */
  readonly complaints: string[] = [];
  reset = false;
  /** Advertised window; a test may close it. */
  window = WINDOW;
  private readonly clock: Clock;
  private readonly emit: (segment: TcpSegment) => void;
  private readonly outgoing: Uint8Array;
  private readonly iss = 0xffff_f000;
  private next = 0;
  private peerPort = 0;
  private synced = false;
  private established = false;
  private acked = 0;
  private furthest = 0;
  private finReceived = false;
  private largestEdge = 0;
  private timer: Disposable | null = null;

  /** Listens on port 80; once connected it sends `outgoing`, and then ends its side. */
  constructor(clock: Clock, outgoing: Uint8Array, emit: (segment: TcpSegment) => void) {
    this.clock = clock;
    this.outgoing = outgoing;
    this.emit = emit;
  }

  get finished(): boolean {
    return this.finReceived && this.acked === this.outgoing.length + 2;
  }

  receive(segment: TcpSegment): void {
    if ((segment.flags & TcpFlag.rst) !== 0) {
      this.reset = true;
      return;
    }
    if ((segment.flags & TcpFlag.syn) !== 0) {
      this.peerPort = segment.sourcePort;
      if (!this.synced) this.next = (segment.seq + 1) >>> 0;
      this.synced = true;
      this.acked = 0;
      this.furthest = 1;
      this.say(TcpFlag.syn | TcpFlag.ack, 0, new Uint8Array(0), { mss: MSS });
      return;
    }
    if (!this.synced) return;
    this.takeAck(segment);
    this.takeData(segment);
  }

  /** Sends the current window unasked. */
  update(): void {
    this.say(TcpFlag.ack, this.furthest, new Uint8Array(0));
  }

  private takeAck(segment: TcpSegment): void {
    const acked = (segment.ack - this.iss) >>> 0;
    if (acked > this.furthest) this.complaints.push(`acknowledges ${acked} of ${this.furthest} sent`);
    else if (acked > this.acked) {
      this.acked = acked;
      this.established = true;
      this.pump(acked);
    } else if (!this.established && acked === 1) this.pump(1);
  }

  private takeData(segment: TcpSegment): void {
    const { payload } = segment;
    const fin = (segment.flags & TcpFlag.fin) !== 0;
    if (payload.length === 0 && !fin) {
      if (segment.seq !== this.next) this.update();
      return;
    }
    if (payload.length > MSS) this.complaints.push(`a segment of ${payload.length} bytes, more than our MSS`);
    const offset = (segment.seq - this.next) | 0;
    if (offset + payload.length > Math.max(this.largestEdge - this.received.length, 0))
      this.complaints.push(`data beyond the window: ${offset}+${payload.length}`);
    if (offset <= 0 && !this.finReceived) {
      const fresh = payload.subarray(-offset);
      const room = Math.min(fresh.length, this.window);
      this.received.push(...fresh.subarray(0, room));
      this.next = (this.next + room) >>> 0;
      if (fin && room === fresh.length) {
        this.next = (this.next + 1) >>> 0;
        this.finReceived = true;
      }
    }
    this.update();
  }

  /** Sends what fits in 8 segments from `from` (0 is the SYN), and again if it is not acknowledged in time. */
  private pump(from: number): void {
    this.timer?.dispose();
    this.timer = null;
    const end = this.outgoing.length + 1;
    if (from > end) return;
    for (let at = from, count = 0; at <= end && count < 8; count++) {
      const payload = this.outgoing.subarray(at - 1, at - 1 + MSS);
      const fin = at + payload.length === end;
      this.say(TcpFlag.ack | (fin ? TcpFlag.fin : 0), at, payload);
      at += payload.length + (fin ? 1 : 0);
      this.furthest = Math.max(this.furthest, at);
    }
    this.timer = this.clock.setTimeout(() => this.pump(this.acked), REPEAT_MS);
  }

  private say(flags: number, at: number, payload: Uint8Array, options: TcpSegment['options'] = {}): void {
    this.largestEdge = Math.max(this.largestEdge, this.received.length + this.window);
    this.emit({
      sourcePort: 80,
      destinationPort: this.peerPort,
      seq: (this.iss + at) >>> 0,
      ack: this.next,
      flags,
      window: this.window,
      options,
      payload,
    });
  }
}
