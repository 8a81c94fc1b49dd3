/**
 * All TCP connections of a gateway: finds the one a segment belongs to, offers new ones to their owner, resets what
 * belongs to none (RFC 9293 §3.10.7.1).
 */
import type { Clock } from '../../../shared/clock.ts';
import type { Ipv4Packet } from '../ipv4.ts';
import { BufferBudget } from './buffer-budget.ts';
import type { ByteRing } from './byte-ring.ts';
import { TcpConnection } from './tcp-connection.ts';
import { parseTcp, TcpFlag, type TcpFault, type TcpHeader, type TcpSegment } from './segment.ts';
import { seqAdd, seqDiff } from './sequence.ts';
import type { TcpConnectionPorts, TcpEndpoints, TcpEvent, TcpHandlers } from './types.ts';

/** Connections that are not in TIME-WAIT. Each costs about 2 KiB when idle. */
const MAX_CONNECTIONS = 4096;
/** Beyond this, the oldest is dropped early; a short connection leaves one behind for 10 s. */
const MAX_TIME_WAIT = 8192;
/** For buffers above the first size, of all connections together. */
const BUFFER_BUDGET_BYTES = 256 * 1024 * 1024;
/** Local ports of connections that we open (RFC 6056 asks for a wide range). */
const FIRST_EPHEMERAL_PORT = 16_384;
const EPHEMERAL_PORTS = 65_536 - FIRST_EPHEMERAL_PORT;
const PORT_SPAN = 65_536;

export interface TcpStackOptions {
  readonly clock: Clock;
  /** An unsigned 32-bit number nobody can predict. */
  readonly random32: () => number;
  readonly mss: number;
  /** Puts a segment on the wire. */
  send(endpoints: TcpEndpoints, header: TcpHeader, ring: ByteRing | null, offset: number, length: number): void;
  readonly count: (event: TcpEvent | TcpFault | 'tcp-refused' | 'tcp-too-many') => void;
  /**
   * A SYN for which there is no connection. The owner calls `offer` to take it (and later accepts or refuses the
   * connection), or returns false to have it reset.
   */
  readonly onSyn: (endpoints: TcpEndpoints, offer: (handlers: TcpHandlers) => TcpConnection) => boolean;
}

/** The two ends of a connection are two numbers of 48 bits: remote first, since few remotes have many locals. */
function endpointKey(ip: number, port: number): number {
  return ip * PORT_SPAN + port;
}

export class TcpStack {
  private readonly options: TcpStackOptions;
  private readonly ports: TcpConnectionPorts;
  private readonly table = new Map<number, Map<number, TcpConnection>>();
  private readonly timeWait = new Set<TcpConnection>();
  private count = 0;

  constructor(options: TcpStackOptions) {
    this.options = options;
    this.ports = {
      clock: options.clock,
      budget: new BufferBudget(BUFFER_BUDGET_BYTES),
      mss: options.mss,
      send: (endpoints, header, ring, offset, length) => options.send(endpoints, header, ring, offset, length),
      count: (event) => options.count(event),
      forget: (endpoints) => this.forget(endpoints),
    };
  }

  /** Opens a connection from `localIp` to a guest. Null if there are too many. The SYN goes out at once. */
  connect(localIp: number, remoteIp: number, remotePort: number, handlers: TcpHandlers): TcpConnection | null {
    const localPort = this.hasRoom() ? this.freePort(localIp, remoteIp, remotePort) : null;
    if (localPort === null) {
      this.options.count('tcp-too-many');
      return null;
    }
    const connection = this.add({ localIp, localPort, remoteIp, remotePort }, handlers, null);
    connection.open();
    return connection;
  }

  receive(packet: Ipv4Packet): void {
    const segment = parseTcp(packet.payload, packet.source, packet.destination);
    if (typeof segment === 'string') {
      this.options.count(segment);
      return;
    }
    const endpoints: TcpEndpoints = {
      localIp: packet.destination,
      localPort: segment.destinationPort,
      remoteIp: packet.source,
      remotePort: segment.sourcePort,
    };
    const connection = this.find(endpoints);
    if (connection !== undefined && !this.isReopening(connection, segment)) {
      connection.receive(segment);
      if (connection.state === 'time-wait') this.noteTimeWait(connection);
      return;
    }
    connection?.abort();
    if ((segment.flags & TcpFlag.rst) !== 0) return;
    if ((segment.flags & (TcpFlag.syn | TcpFlag.ack)) === TcpFlag.syn && this.offer(endpoints, segment)) return;
    this.reset(endpoints, segment);
  }

  /** Every connection whose peer is `remoteIp`, or all. */
  *connections(remoteIp?: number): Generator<TcpConnection> {
    for (const peers of [...this.table.values()]) {
      for (const connection of [...peers.values()]) {
        if (remoteIp === undefined || connection.endpoints.remoteIp === remoteIp) yield connection;
      }
    }
  }

  /** Connections that are not in TIME-WAIT. */
  get open(): number {
    return this.count - this.timeWait.size;
  }

  /** Connections in TIME-WAIT. */
  get waiting(): number {
    return this.timeWait.size;
  }

  /** Bytes held in the buffers of all connections. */
  get allocated(): number {
    let bytes = 0;
    for (const connection of this.connections()) bytes += connection.allocated;
    return bytes;
  }

  /** Resets every connection. */
  dispose(): void {
    for (const connection of this.connections()) connection.abort();
  }

  /** A guest reuses the port pair of a connection that is in TIME-WAIT here (RFC 9293 §3.6.1). */
  private isReopening(connection: TcpConnection, segment: TcpSegment): boolean {
    return (
      connection.state === 'time-wait' &&
      (segment.flags & (TcpFlag.syn | TcpFlag.ack | TcpFlag.rst)) === TcpFlag.syn &&
      seqDiff(segment.seq, connection.received) > 0
    );
  }

  private offer(endpoints: TcpEndpoints, syn: TcpSegment): boolean {
    if (!this.hasRoom()) {
      this.options.count('tcp-too-many');
      return false;
    }
    return this.options.onSyn(endpoints, (handlers) => this.add(endpoints, handlers, syn));
  }

  private reset({ localIp, localPort, remoteIp, remotePort }: TcpEndpoints, segment: TcpSegment): void {
    this.options.count('tcp-refused');
    const acked = (segment.flags & TcpFlag.ack) !== 0;
    const length = segment.payload.length + ((segment.flags & TcpFlag.syn) !== 0 ? 1 : 0) + ((segment.flags & TcpFlag.fin) !== 0 ? 1 : 0);
    this.options.send(
      { localIp, localPort, remoteIp, remotePort },
      {
        sourcePort: localPort,
        destinationPort: remotePort,
        seq: acked ? segment.ack : 0,
        ack: acked ? 0 : seqAdd(segment.seq, length),
        flags: acked ? TcpFlag.rst : TcpFlag.rst | TcpFlag.ack,
        window: 0,
        options: {},
      },
      null,
      0,
      0,
    );
  }

  private add(endpoints: TcpEndpoints, handlers: TcpHandlers, syn: TcpSegment | null): TcpConnection {
    const connection = new TcpConnection(endpoints, handlers, this.ports, this.options.random32(), syn);
    const remote = endpointKey(endpoints.remoteIp, endpoints.remotePort);
    let peers = this.table.get(remote);
    if (peers === undefined) {
      peers = new Map();
      this.table.set(remote, peers);
    }
    peers.set(endpointKey(endpoints.localIp, endpoints.localPort), connection);
    this.count++;
    return connection;
  }

  private find({ localIp, localPort, remoteIp, remotePort }: TcpEndpoints): TcpConnection | undefined {
    return this.table.get(endpointKey(remoteIp, remotePort))?.get(endpointKey(localIp, localPort));
  }

  private forget(endpoints: TcpEndpoints): void {
    const remote = endpointKey(endpoints.remoteIp, endpoints.remotePort);
    const peers = this.table.get(remote);
    const local = endpointKey(endpoints.localIp, endpoints.localPort);
    const connection = peers?.get(local);
    if (peers === undefined || connection === undefined) return;
    peers.delete(local);
    if (peers.size === 0) this.table.delete(remote);
    this.timeWait.delete(connection);
    this.count--;
  }

  private noteTimeWait(connection: TcpConnection): void {
    this.timeWait.add(connection);
    if (this.timeWait.size <= MAX_TIME_WAIT) return;
    for (const oldest of this.timeWait) {
      oldest.abort();
      return;
    }
  }

  private hasRoom(): boolean {
    return this.open < MAX_CONNECTIONS;
  }

  private freePort(localIp: number, remoteIp: number, remotePort: number): number | null {
    const taken = this.table.get(endpointKey(remoteIp, remotePort));
    const start = this.options.random32() % EPHEMERAL_PORTS;
    for (let step = 0; step < EPHEMERAL_PORTS; step++) {
      const port = FIRST_EPHEMERAL_PORT + ((start + step) % EPHEMERAL_PORTS);
      if (taken?.has(endpointKey(localIp, port)) !== true) return port;
    }
    return null;
  }
}
