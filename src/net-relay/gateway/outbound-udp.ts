/**
 * UDP from guests to the outside: one socket of the host machine for each port of a guest. Answers are let in only from
 * an address and port the guest has sent to (RFC 4787's address and port-dependent filtering).
 */
import type { Clock } from '../../shared/clock.ts';
import { parseIpv4Address } from './address.ts';
import type { GatewayCounters } from './gateway-counters.ts';
import type { HostDatagrams, HostNetwork } from './host-network.ts';
import type { OutboundPolicy } from './outbound-policy.ts';
import { LazyTimer } from './tcp/lazy-timer.ts';
import type { UdpDatagram } from './udp.ts';
import { MAX_UDP_FLOWS_PER_VM } from '../limits/server-limits.ts';

/** RFC 4787 asks for at least two minutes. */
const IDLE_MS = 120_000;
/** Peers of one flow; the oldest makes room. */
const MAX_PEERS = 256;
const LOOPBACK = '127.0.0.1';

export interface OutboundUdpOptions {
  readonly network: HostNetwork;
  readonly policy: OutboundPolicy | null;
  readonly counters: GatewayCounters;
  readonly clock: Clock;
  readonly gatewayIp: number;
  readonly isGuest: (ip: number) => boolean;
  /** Sends a datagram into the LAN. */
  readonly send: (source: number, sourcePort: number, destination: number, destinationPort: number, payload: Uint8Array) => void;
}

interface Flow {
  readonly guestIp: number;
  readonly guestPort: number;
  readonly socket: HostDatagrams;
  readonly peers: Set<string>;
  usedAt: number;
}

export class OutboundUdp {
  private readonly options: OutboundUdpOptions;
  /** Least recently used first. */
  private readonly flows = new Map<number, Flow>();
  private readonly sweeper: LazyTimer;

  constructor(options: OutboundUdpOptions) {
    this.options = options;
    this.sweeper = new LazyTimer(options.clock, () => this.sweep());
  }

  /** False: not allowed (the reason is counted). */
  forward(guestIp: number, destination: number, datagram: UdpDatagram): boolean {
    const { policy, counters, gatewayIp } = this.options;
    const verdict = this.options.isGuest(guestIp) ? policy?.judge('udp', destination, datagram.destinationPort) : undefined;
    if (verdict?.allowed !== true) {
      counters.add(destination === gatewayIp ? 'udp-refused' : policy === null ? 'outbound-off' : (verdict?.why ?? 'outbound-not-allowed'));
      return false;
    }
    const flow = this.flow(guestIp, datagram.sourcePort);
    const peer = `${verdict.address}:${datagram.destinationPort}`;
    if (!flow.peers.has(peer) && flow.peers.size >= MAX_PEERS) {
      for (const oldest of flow.peers) {
        flow.peers.delete(oldest);
        break;
      }
    }
    flow.peers.add(peer);
    flow.socket.send(datagram.payload, verdict.address, datagram.destinationPort);
    return true;
  }

  /** Flows that are open. */
  get size(): number {
    return this.flows.size;
  }

  /** Closes the flows of one guest, or all. */
  closeAll(guestIp?: number): void {
    for (const [key, flow] of this.flows) if (guestIp === undefined || flow.guestIp === guestIp) this.close(key, flow);
  }

  dispose(): void {
    this.closeAll();
    this.sweeper.dispose();
  }

  private flow(guestIp: number, guestPort: number): Flow {
    const key = guestIp * 65_536 + guestPort;
    const now = this.options.clock.now();
    const known = this.flows.get(key);
    if (known !== undefined) {
      this.touch(key, known);
      return known;
    }
    this.makeRoom(guestIp);
    const socket = this.options.network.datagrams(
      (payload, address, port) => this.onAnswer(key, flow, payload, address, port),
      () => this.close(key, flow),
    );
    const flow: Flow = { guestIp, guestPort, socket, peers: new Set(), usedAt: now };
    this.flows.set(key, flow);
    this.options.counters.add('outbound-opened');
    this.sweeper.noLaterThan(now + IDLE_MS);
    return flow;
  }

  private onAnswer(key: number, flow: Flow, payload: Uint8Array, address: string, port: number): void {
    const source = address === LOOPBACK ? this.options.gatewayIp : parseIpv4Address(address);
    if (source === null || !flow.peers.has(`${address}:${port}`) || this.flows.get(key) !== flow) return;
    this.touch(key, flow);
    this.options.send(source, port, flow.guestIp, flow.guestPort, payload);
  }

  private touch(key: number, flow: Flow): void {
    flow.usedAt = this.options.clock.now();
    this.flows.delete(key);
    this.flows.set(key, flow);
  }

  private makeRoom(guestIp: number): void {
    let oldest: [number, Flow] | null = null;
    let count = 0;
    for (const entry of this.flows) {
      if (entry[1].guestIp !== guestIp) continue;
      oldest ??= entry;
      count++;
    }
    if (count < MAX_UDP_FLOWS_PER_VM || oldest === null) return;
    this.options.counters.add('outbound-too-many');
    this.close(oldest[0], oldest[1]);
  }

  private close(key: number, flow: Flow): void {
    if (this.flows.get(key) === flow) this.flows.delete(key);
    flow.socket.close();
  }

  private sweep(): void {
    const now = this.options.clock.now();
    for (const [key, flow] of this.flows) {
      if (now - flow.usedAt < IDLE_MS) {
        this.sweeper.noLaterThan(flow.usedAt + IDLE_MS);
        return;
      }
      this.close(key, flow);
    }
  }
}
