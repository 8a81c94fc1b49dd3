/**
 * The user-mode gateway of a room: one station on the room's switch. It answers ARP and ping, serves DHCP, forwards TCP
 * ports of the host machine into the guests, and pings guests on a beat. IPv4 only: IPv6 frames are dropped and counted.
 *
 * It knows guests from the lease table alone, the outside from a HostNetwork, time from a Clock. What it drops or
 * refuses is counted under a name of counters.ts. The rules are in RULES.md (GW1…).
 */
import { randomInt } from 'node:crypto';
import type { Clock } from '../../migration/ports.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { Station } from '../station.ts';
import { BROADCAST_IP, BROADCAST_MAC, ipv4FromOption, isGroupMac, macFromOption } from './address.ts';
import { parseArp, serializeArp } from './arp.ts';
import { Counters, type CounterName } from './counters.ts';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpServer } from './dhcp-server.ts';
import { EchoProber, type PingSample } from './echo-prober.ts';
import { EtherType, MTU, parseEthernet, serializeEthernet } from './ethernet.ts';
import type { HostNetwork } from './host-network.ts';
import { IcmpType, parseIcmp, serializeIcmp, serializeUnreachable, UnreachableCode } from './icmp.ts';
import { IPV4_HEADER_BYTES, IpProtocol, parseIpv4, type Ipv4Packet } from './ipv4.ts';
import { Guests, type LeaseTable } from './leases.ts';
import { nodeHostNetwork } from './node-host-network.ts';
import { PacketOutput, PAYLOAD_AT } from './packet-output.ts';
import { PortForwards, type Forward, type ForwardRequest } from './port-forwards.ts';
import { optionBytes, TCP_HEADER_BYTES, writeTcpHeader } from './tcp/segment.ts';
import { TcpStack } from './tcp/stack.ts';
import { parseUdp, serializeUdp } from './udp.ts';

/** Forwarded for every VM unless asked otherwise: SSH and the guest's web server. */
export const DEFAULT_GUEST_PORTS: readonly number[] = [22, 80];
/** Frames that came while one was being sent; a switch delivers in a loop, never that deep. */
const MAX_REENTRANT_FRAMES = 4096;

export interface GatewayOptions {
  /** The gateway's own addresses, as text. */
  readonly mac: string;
  readonly ip: string;
  readonly netmask: string;
  readonly leases: LeaseTable;
  readonly clock: Clock;
  /** Hands a frame to the switch. */
  readonly send: (frame: Uint8Array) => void;
  /** Domain that DHCP and DNS give to the room's names. */
  readonly domain?: string;
  /** Host address on which forwards listen; default 127.0.0.1. */
  readonly forwardAddress?: string;
  readonly network?: HostNetwork;
  /** Uniform in 0..2^32-1; default cryptographic. */
  readonly random32?: () => number;
  /** One sentence for the server's log. */
  readonly log?: (line: string) => void;
}

export interface Gateway extends Station {
  /** Rejects with ForwardError. Host port 0: any free one. */
  addForward(request: ForwardRequest): Promise<Forward>;
  /** By host port. False if there is none. */
  removeForward(hostPort: number): Promise<boolean>;
  forwards(vmId?: string): Forward[];
  /** Pings a guest every `beatMs`; each beat is reported once. Throws RangeError for an unknown VM. */
  startPing(vmId: string, beatMs: number, onSample: (sample: PingSample) => void): Disposable;
  /** The VM can be reached again (switchover over, port attached): connections try now what they were waiting to repeat. */
  nudge(vmId: string): void;
  /** Counters by name (counters.ts), and the number of open connections. */
  stats(): Partial<Record<CounterName | 'tcp-open' | 'tcp-time-wait', number>>;
  dispose(): Promise<void>;
}

export function createGateway(options: GatewayOptions): Gateway {
  return new UserModeGateway(options);
}

class UserModeGateway implements Gateway {
  private readonly mac: number;
  private readonly ip: number;
  private readonly netmask: number;
  private readonly counters = new Counters();
  private readonly guests: Guests;
  private readonly output: PacketOutput;
  private readonly tcp: TcpStack;
  private readonly dhcp: DhcpServer;
  private readonly prober: EchoProber;
  private readonly portForwards: PortForwards;
  private readonly log: (line: string) => void;
  private sending = 0;
  private readonly deferred: Uint8Array[] = [];
  private disposed = false;

  constructor(options: GatewayOptions) {
    this.mac = macFromOption(options.mac, "The gateway's MAC address");
    this.ip = ipv4FromOption(options.ip, "The gateway's IP address");
    this.netmask = ipv4FromOption(options.netmask, 'The netmask');
    this.log = options.log ?? (() => undefined);
    const random32 = options.random32 ?? (() => randomInt(0x1_0000_0000));
    const counters = this.counters;
    this.guests = new Guests(options.leases, (guest) => this.onGuestGone(guest.vmId, guest.ip));
    this.output = new PacketOutput(this.mac, (frame) => this.deliver(frame, options.send), (ip) => this.resolve(ip), counters, random32());
    this.tcp = new TcpStack({
      clock: options.clock,
      random32,
      mss: MTU - IPV4_HEADER_BYTES - TCP_HEADER_BYTES,
      count: (event) => counters.count(event),
      onSyn: () => false,
      send: (endpoints, header, ring, offset, length) => {
        const headerBytes = TCP_HEADER_BYTES + optionBytes(header.options);
        this.output.sendIpv4(endpoints.localIp, endpoints.remoteIp, IpProtocol.tcp, headerBytes + length, (frame, view) => {
          ring?.copyTo(frame, PAYLOAD_AT + headerBytes, offset, length);
          writeTcpHeader(view, PAYLOAD_AT, header, length, endpoints.localIp, endpoints.remoteIp);
        });
      },
    });
    this.dhcp = new DhcpServer({
      serverIp: this.ip,
      netmask: this.netmask,
      domain: options.domain ?? 'tabmotion.internal',
      counters,
      guestByMac: (mac) => this.guests.byMac(mac),
    });
    this.prober = new EchoProber(options.clock, counters, (ip, message) => this.output.sendDatagram(this.ip, ip, IpProtocol.icmp, message));
    this.portForwards = new PortForwards({
      network: options.network ?? nodeHostNetwork,
      address: options.forwardAddress ?? '127.0.0.1',
      counters,
      guest: (vmId) => this.guests.byId(vmId),
      connect: (guestIp, guestPort, handlers) => this.tcp.connect(this.ip, guestIp, guestPort, handlers),
    });
  }

  receive(frame: Uint8Array): void {
    if (this.disposed) return;
    if (this.sending > 0) {
      this.defer(frame);
      return;
    }
    this.counters.count('frames-in');
    this.counters.count('bytes-in', frame.length);
    try {
      this.receiveFrame(frame);
    } catch (error) {
      // A station must not throw into the switch. This is a defect of ours: say so, and go on with the next frame.
      this.counters.count('internal-errors');
      this.log(`The gateway failed on a frame: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }

  addForward(request: ForwardRequest): Promise<Forward> {
    return this.portForwards.add(request);
  }

  removeForward(hostPort: number): Promise<boolean> {
    return this.portForwards.remove(hostPort);
  }

  forwards(vmId?: string): Forward[] {
    return this.portForwards.of(vmId);
  }

  startPing(vmId: string, beatMs: number, onSample: (sample: PingSample) => void): Disposable {
    const guest = this.guests.byId(vmId);
    if (guest === undefined) throw new RangeError(`There is no VM ${vmId} to ping`);
    return this.prober.start(guest.ip, beatMs, onSample);
  }

  nudge(vmId: string): void {
    const guest = this.guests.byId(vmId);
    if (guest === undefined) return;
    for (const connection of this.tcp.connections(guest.ip)) connection.nudge();
  }

  stats(): Partial<Record<CounterName | 'tcp-open' | 'tcp-time-wait', number>> {
    return { ...this.counters.snapshot(), 'tcp-open': this.tcp.open, 'tcp-time-wait': this.tcp.waiting };
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.tcp.dispose();
    this.disposed = true;
    this.prober.dispose();
    this.guests.dispose();
    await this.portForwards.dispose();
  }

  // --- frames --------------------------------------------------------------------------------------------------------

  private deliver(frame: Uint8Array, send: (frame: Uint8Array) => void): void {
    this.sending++;
    try {
      send(frame);
    } finally {
      this.sending--;
    }
  }

  /** A station answered within our own call to the switch: its frame waits until we have finished what we do. */
  private defer(frame: Uint8Array): void {
    if (this.deferred.length >= MAX_REENTRANT_FRAMES) {
      this.counters.count('reentrant-overflow');
      return;
    }
    this.deferred.push(frame);
    if (this.deferred.length > 1) return;
    queueMicrotask(() => {
      for (const waiting of this.deferred.splice(0)) this.receive(waiting);
    });
  }

  private receiveFrame(bytes: Uint8Array): void {
    const frame = parseEthernet(bytes);
    if (typeof frame === 'string') {
      this.counters.count(frame);
      return;
    }
    const { source, destination } = frame;
    if (isGroupMac(source)) this.counters.count('ethernet-group-source');
    else if (source === this.mac) this.counters.count('spoofed-gateway');
    else if (destination !== this.mac && !isGroupMac(destination)) this.counters.count('ethernet-not-for-us');
    else if (frame.etherType === EtherType.ipv4) this.receiveIpv4(frame.payload, source, destination);
    else if (frame.etherType === EtherType.arp) this.receiveArp(frame.payload, source);
    else this.counters.count(frame.etherType === EtherType.ipv6 ? 'ipv6-unsupported' : 'ethernet-unknown-type');
  }

  private receiveArp(bytes: Uint8Array, source: number): void {
    const arp = parseArp(bytes);
    if (arp === 'arp-malformed') {
      this.counters.count(arp);
      return;
    }
    const guest = this.guests.byMac(source);
    if (guest === undefined) this.counters.count('unknown-sender');
    else if (arp.senderIp === this.ip) this.counters.count('spoofed-gateway');
    // 0: a probe (RFC 5227), which asks before it claims.
    else if (arp.senderMac !== source || (arp.senderIp !== guest.ip && arp.senderIp !== 0)) this.counters.count('spoofed-ip');
    else if (arp.operation === 'request' && arp.targetIp === this.ip) {
      const payload = serializeArp({ operation: 'reply', senderMac: this.mac, senderIp: this.ip, targetMac: source, targetIp: arp.senderIp });
      this.output.send(serializeEthernet({ destination: source, source: this.mac, etherType: EtherType.arp, payload }));
    }
  }

  private receiveIpv4(bytes: Uint8Array, source: number, destinationMac: number): void {
    const packet = parseIpv4(bytes);
    if (typeof packet === 'string') {
      this.counters.count(packet);
      return;
    }
    const guest = this.guests.byMac(source);
    if (guest === undefined) {
      this.counters.count('unknown-sender');
      return;
    }
    const unconfigured = packet.source === 0 && packet.protocol === IpProtocol.udp;
    if (packet.source === this.ip) this.counters.count('spoofed-gateway');
    else if (packet.source !== guest.ip && !unconfigured) this.counters.count('spoofed-ip');
    else this.receivePacket(packet, source, isGroupMac(destinationMac));
  }

  private receivePacket(packet: Ipv4Packet, sourceMac: number, broadcast: boolean): void {
    const toUs = packet.destination === this.ip;
    if (packet.protocol === IpProtocol.udp) this.receiveUdp(packet, sourceMac, broadcast);
    else if (broadcast || !toUs) this.counters.count('ipv4-not-for-us');
    else if (packet.protocol === IpProtocol.tcp) this.tcp.receive(packet);
    else if (packet.protocol === IpProtocol.icmp) this.receiveIcmp(packet);
    else {
      this.counters.count('ipv4-unknown-protocol');
      this.sendUnreachable(UnreachableCode.protocol, packet);
    }
  }

  private receiveIcmp(packet: Ipv4Packet): void {
    const message = parseIcmp(packet.payload);
    if (typeof message === 'string') this.counters.count(message);
    else if (message.type === IcmpType.echoRequest && message.code === 0) {
      this.output.sendDatagram(packet.destination, packet.source, IpProtocol.icmp, serializeIcmp({ ...message, type: IcmpType.echoReply }));
    } else if (message.type === IcmpType.echoReply) this.prober.receive(packet.source, message);
    else this.counters.count('icmp-ignored');
  }

  private receiveUdp(packet: Ipv4Packet, sourceMac: number, broadcast: boolean): void {
    const datagram = parseUdp(packet.payload, packet.source, packet.destination);
    if (typeof datagram === 'string') {
      this.counters.count(datagram);
      return;
    }
    const toUs = packet.destination === this.ip || packet.destination === BROADCAST_IP;
    if (toUs && datagram.destinationPort === DHCP_SERVER_PORT) {
      const answer = this.dhcp.answer(datagram.payload, sourceMac);
      if (answer === null) return;
      this.sendUdp(this.ip, DHCP_SERVER_PORT, answer.destinationIp, DHCP_CLIENT_PORT, answer.payload);
    } else if (broadcast || packet.source === 0) {
      this.counters.count('ipv4-not-for-us');
    } else {
      this.counters.count('udp-refused');
      this.sendUnreachable(UnreachableCode.port, packet);
    }
  }

  private sendUdp(source: number, sourcePort: number, destination: number, destinationPort: number, payload: Uint8Array): void {
    this.output.sendDatagram(source, destination, IpProtocol.udp, serializeUdp({ sourcePort, destinationPort, payload }, source, destination));
  }

  private sendUnreachable(code: number, packet: Ipv4Packet): void {
    this.output.sendDatagram(this.ip, packet.source, IpProtocol.icmp, serializeUnreachable(code, packet.bytes));
  }

  private resolve(ip: number): number | null {
    if (ip === BROADCAST_IP) return BROADCAST_MAC;
    return this.guests.byIp(ip)?.mac ?? null;
  }

  private onGuestGone(vmId: string, ip: number): void {
    for (const connection of this.tcp.connections(ip)) connection.abort();
    void this.portForwards.removeAllOf(vmId);
  }
}
