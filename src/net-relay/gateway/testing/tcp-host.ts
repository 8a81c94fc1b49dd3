/** One end of a TCP conversation in virtual time: a stack of ours with a name, an address and a wire. */
import type { Clock } from '../../../shared/clock.ts';
import type { SeededRandom } from '../../../migration/testing/seeded-random.ts';
import { Counters } from '../../../shared/counters.ts';
import type { CounterName } from '../gateway-counters.ts';
import { IpProtocol, type Ipv4Packet } from '../ipv4.ts';
import type { TcpConnection } from '../tcp/tcp-connection.ts';
import { parseTcp, serializeTcp, type TcpSegment } from '../tcp/segment.ts';
import { TcpStack } from '../tcp/stack.ts';
import type { TcpCloseReason, TcpHandlers } from '../tcp/types.ts';

/** What a test's application does with a connection: sends `outgoing`, collects what comes, ends as told. */
export class TestApplication implements TcpHandlers {
  connection: TcpConnection | null = null;
  readonly received: Uint8Array[] = [];
  receivedBytes = 0;
  established = false;
  closed: TcpCloseReason | null = null;
  /** Stops reading while false, as an application that is busy. */
  reading = true;
  private busy = false;
  private outgoing: Uint8Array;
  private readonly endAfterSending: boolean;

  constructor(outgoing: Uint8Array, endAfterSending: boolean) {
    this.outgoing = outgoing;
    this.endAfterSending = endAfterSending;
  }

  onEstablished(): void {
    this.established = true;
    this.push();
  }

  onReadable(): void {
    if (this.reading) this.readAll();
  }

  onWritable(): void {
    this.push();
  }

  onClosed(reason: TcpCloseReason): void {
    this.readAll();
    this.closed = reason;
  }

  readAll(): void {
    const connection = this.connection;
    if (connection === null || this.busy) return;
    // Reading opens the window, and on a wire without delay more arrives before read() returns.
    this.busy = true;
    while (connection.readable > 0) {
      const data = connection.read(64 * 1024);
      this.received.push(data);
      this.receivedBytes += data.length;
    }
    this.busy = false;
  }

  get allSent(): boolean {
    return this.outgoing.length === 0;
  }

  get ended(): boolean {
    return this.connection?.ended ?? false;
  }

  /** More to send. */
  send(data: Uint8Array): void {
    this.outgoing = data;
    this.push();
  }

  private push(): void {
    const connection = this.connection;
    if (connection === null || !this.established) return;
    while (this.outgoing.length > 0) {
      const taken = connection.write(this.outgoing);
      if (taken === 0) return;
      this.outgoing = this.outgoing.subarray(taken);
    }
    if (this.endAfterSending) connection.shutdown();
  }
}

export class TcpHost {
  readonly stack: TcpStack;
  readonly counters = new Counters<CounterName>();
  /** Takes over SYNs to any port; null: every port is closed. */
  listener: (() => TestApplication) | null = null;
  /** Every segment that was sent. */
  readonly log: TcpSegment[] = [];
  private readonly ip: number;

  /** `send`: puts the bytes of a segment from `ip` to `to` on the wire. */
  constructor(ip: number, clock: Clock, random: SeededRandom, send: (segment: Uint8Array, to: number) => void) {
    this.ip = ip;
    this.stack = new TcpStack({
      clock,
      mss: 1460,
      random32: () => random.below(0x1_0000_0000),
      count: (name) => this.counters.add(name),
      send: ({ localIp, remoteIp }, header, ring, offset, length) => {
        const payload = new Uint8Array(length);
        ring?.copyTo(payload, 0, offset, length);
        this.log.push({ ...header, payload });
        send(serializeTcp({ ...header, payload }, localIp, remoteIp), remoteIp);
      },
      onSyn: (_endpoints, offer) => {
        const application = this.listener?.();
        if (application === undefined) return false;
        application.connection = offer(application);
        application.connection.accept();
        return true;
      },
    });
  }

  connect(to: number, port: number, application: TestApplication): TcpConnection {
    const connection = this.stack.connect(this.ip, to, port, application);
    if (connection === null) throw new Error('no room for a connection');
    application.connection = connection;
    return connection;
  }

  receive(segment: Uint8Array, from: number): void {
    this.stack.receive(packet(segment, from, this.ip));
  }
}

/** An IPv4 packet around a TCP segment. */
function packet(payload: Uint8Array, source: number, destination: number): Ipv4Packet {
  return { source, destination, protocol: IpProtocol.tcp, id: 0, ttl: 64, fragmentOffset: 0, moreFragments: false, payload, bytes: payload };
}

export function parseSegment(bytes: Uint8Array, source: number, destination: number): TcpSegment {
  const segment = parseTcp(bytes, source, destination);
  if (typeof segment === 'string') throw new Error(segment);
  return segment;
}

/** Bytes that repeat nowhere, generated quickly. */
export function noise(seed: number, length: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

export function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
