/**
 * Pings guests on a steady beat. A sample is reported once for each beat: with its round trip as soon as the answer
 * comes, or as lost when none came within a limit that is longer than any pause of a switchover.
 */
import type { Clock } from '../../shared/clock.ts';
import { disposable, type Disposable } from '../../shared/disposable.ts';
import type { GatewayCounters } from './gateway-counters.ts';
import { IcmpType, serializeIcmp, type IcmpMessage } from './icmp.ts';
import { MAX_PROBES_PER_SECOND } from '../limits/server-limits.ts';

/** Longer than any hold (2 s) and what follows it. */
export const PING_LOST_AFTER_MS = 5000;
/** Below this the ping is load, not a measurement. */
const SHORTEST_BEAT_MS = 5;
/** As `ping` sends by default. */
const PAYLOAD_BYTES = 56;
const SEQUENCES = 0x10000;

export interface PingSample {
  /** Counts beats from 0. */
  readonly seq: number;
  /** Milliseconds, or null: lost. */
  readonly rttMs: number | null;
}

interface Stream {
  readonly ip: number;
  readonly onSample: (sample: PingSample) => void;
  /** By number on the wire, in the order sent. */
  readonly waiting: Map<number, { readonly seq: number; readonly sentAt: number }>;
  /** Lowest beat that has not been reported; an answer to a lower one is a duplicate or late. */
  lostBelow: number;
  sent: number;
}

export class EchoProber implements Disposable {
  private readonly clock: Clock;
  private readonly counters: GatewayCounters;
  private readonly send: (ip: number, message: Uint8Array) => void;
  private readonly streams = new Map<number, Stream>();
  private readonly timers = new Map<number, Disposable>();
  private nextIdentifier = 1;

  constructor(clock: Clock, counters: GatewayCounters, send: (ip: number, message: Uint8Array) => void) {
    this.clock = clock;
    this.counters = counters;
    this.send = send;
  }

  /** Starts at once, every `beatMs` or as often as MAX_PROBES_PER_SECOND lets it. Disposing stops it; nothing is reported after that. */
  start(ip: number, beatMs: number, onSample: (sample: PingSample) => void): Disposable {
    const identifier = this.freeIdentifier();
    const stream: Stream = { ip, onSample, waiting: new Map(), sent: 0, lostBelow: 0 };
    this.streams.set(identifier, stream);
    let due = this.clock.now();
    const tick = (): void => {
      this.probe(identifier, stream);
      const beat = Math.max(SHORTEST_BEAT_MS, beatMs, (this.streams.size * 1000) / MAX_PROBES_PER_SECOND);
      // Beats that a busy process missed are skipped, not made up for.
      due += beat * Math.max(1, Math.ceil((this.clock.now() - due) / beat));
      this.timers.set(identifier, this.clock.setTimeout(tick, due - this.clock.now()));
    };
    tick();
    return disposable(() => {
      // Another stream may have this identifier by now.
      if (this.streams.get(identifier) === stream) this.end(identifier);
    });
  }

  /** Ends every ping of a guest that has gone. */
  stop(ip: number): void {
    for (const [identifier, stream] of this.streams) if (stream.ip === ip) this.end(identifier);
  }

  /** Takes an echo reply. */
  receive(ip: number, message: IcmpMessage): void {
    const identifier = message.rest >>> 16;
    const stream = this.streams.get(identifier);
    if (stream?.ip !== ip) {
      this.counters.add('icmp-ignored');
      return;
    }
    const sent = stream.waiting.get(message.rest & 0xffff);
    if (sent === undefined) {
      const late = ((stream.lostBelow - (message.rest & 0xffff)) & 0xffff) < SEQUENCES / 2 && stream.lostBelow > 0;
      this.counters.add(late ? 'ping-late' : 'ping-duplicates');
      return;
    }
    stream.waiting.delete(message.rest & 0xffff);
    stream.onSample({ seq: sent.seq, rttMs: this.clock.now() - sent.sentAt });
  }

  dispose(): void {
    for (const timer of this.timers.values()) timer.dispose();
    this.timers.clear();
    this.streams.clear();
  }

  private end(identifier: number): void {
    this.timers.get(identifier)?.dispose();
    this.timers.delete(identifier);
    this.streams.delete(identifier);
  }

  private probe(identifier: number, stream: Stream): void {
    const now = this.clock.now();
    for (const [wire, { seq, sentAt }] of stream.waiting) {
      if (now - sentAt < PING_LOST_AFTER_MS) break;
      stream.waiting.delete(wire);
      stream.lostBelow = seq + 1;
      stream.onSample({ seq, rttMs: null });
    }
    const seq = stream.sent++;
    stream.waiting.set(seq & 0xffff, { seq, sentAt: now });
    const rest = ((identifier << 16) | (seq & 0xffff)) >>> 0;
    this.send(stream.ip, serializeIcmp({ type: IcmpType.echoRequest, code: 0, rest, payload: new Uint8Array(PAYLOAD_BYTES) }));
  }

  private freeIdentifier(): number {
    while (this.streams.has(this.nextIdentifier)) this.nextIdentifier = (this.nextIdentifier % 0xffff) + 1;
    const identifier = this.nextIdentifier;
    this.nextIdentifier = (identifier % 0xffff) + 1;
    return identifier;
  }
}
