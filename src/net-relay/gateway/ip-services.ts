/**
 * What the gateway does with the packets of its LAN: ping, DHCP and DNS at its own address; TCP and UDP to the outside, if
 * that is allowed; a refusal that says why for the rest.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import { TokenBucket } from '../limits/token-bucket.ts';
import { BROADCAST_IP } from './address.ts';
import type { GatewayCounters } from './gateway-counters.ts';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpServer } from './dhcp-server.ts';
import { DNS_PORT, DnsServer } from './dns-server.ts';
import { EchoProber } from './echo-prober.ts';
import type { HostNetwork } from './host-network.ts';
import { IcmpType, parseIcmp, serializeIcmp, serializeUnreachable, UnreachableCode } from './icmp.ts';
import { IpProtocol, type Ipv4Packet } from './ipv4.ts';
import type { Guests } from './leases.ts';
import type { OutboundPolicy } from './outbound-policy.ts';
import { OutboundTcp } from './outbound-tcp.ts';
import { OutboundUdp } from './outbound-udp.ts';
import type { PacketOutput } from './packet-output.ts';
import { Reassembler } from './reassembly.ts';
import { createTcpStack } from './tcp-output.ts';
import type { TcpStack } from './tcp/stack.ts';
import { parseUdp, serializeUdp } from './udp.ts';

/** ICMP errors are a courtesy and must not become a flood (RFC 1812 §4.3.2.8). */
const ICMP_ERRORS_PER_SECOND = 200;
const ICMP_ERROR_BURST = 100;
/** 224.0.0.0 and all above it. */
const FIRST_GROUP_ADDRESS = 0xe000_0000;

export interface IpServicesOptions {
  readonly ip: number;
  readonly netmask: number;
  readonly domain: string;
  readonly clock: Clock;
  readonly random32: () => number;
  readonly network: HostNetwork;
  /** Null: outbound is off. */
  readonly policy: OutboundPolicy | null;
  /** A name of the room that is no VM's, or null. */
  readonly otherName: (name: string) => number | null;
  readonly guests: Guests;
  readonly output: PacketOutput;
  readonly counters: GatewayCounters;
}

export class IpServices implements Disposable {
  readonly tcp: TcpStack;
  readonly prober: EchoProber;
  private readonly options: IpServicesOptions;
  private readonly reassembler: Reassembler;
  private readonly dhcp: DhcpServer;
  private readonly dns: DnsServer;
  private readonly udp: OutboundUdp;
  private readonly icmpErrors: TokenBucket;
  private disposed = false;

  constructor(options: IpServicesOptions) {
    const { ip, netmask, domain, clock, network, policy, guests, counters } = options;
    const isGuest = (address: number): boolean => guests.byIp(address) !== undefined;
    this.options = options;
    this.reassembler = new Reassembler(counters);
    this.icmpErrors = new TokenBucket(ICMP_ERRORS_PER_SECOND, ICMP_ERROR_BURST, clock.now());
    const outbound = new OutboundTcp({ network, policy, counters, gatewayIp: ip, isGuest });
    this.tcp = createTcpStack({ ...options, onSyn: (endpoints, offer) => outbound.onSyn(endpoints, offer) });
    this.udp = new OutboundUdp({
      network,
      policy,
      counters,
      clock,
      gatewayIp: ip,
      isGuest,
      send: (source, sourcePort, destination, port, payload) => this.sendUdp(source, sourcePort, destination, port, payload),
    });
    this.dhcp = new DhcpServer({ serverIp: ip, netmask, domain, counters, guestByMac: (mac) => guests.byMac(mac) });
    this.dns = new DnsServer({
      domain,
      counters,
      hostAddress: ip,
      localAddress: (name) => guests.byName(name)?.ip ?? options.otherName(name),
      resolve: policy === null ? null : (name) => network.resolve(name),
    });
    this.prober = new EchoProber(clock, counters, (to, message) => this.sendIcmp(to, message));
  }

  /** A packet of the LAN; `group`: its frame was broadcast or multicast. */
  receive(packet: Ipv4Packet, sourceMac: number, group: boolean): void {
    const { counters, ip } = this.options;
    const whole = this.reassembler.accept(packet, this.options.clock.now());
    if (whole === null) return;
    if (whole.protocol === IpProtocol.udp) this.receiveUdp(whole, sourceMac, group);
    else if (group || this.isGroupAddress(whole.destination)) counters.add('ipv4-not-for-us');
    else if (whole.protocol === IpProtocol.tcp) this.tcp.receive(whole);
    else if (whole.destination !== ip) {
      counters.add(this.options.policy === null ? 'outbound-off' : 'outbound-unsupported');
      this.sendUnreachable(UnreachableCode.prohibited, whole);
    } else if (whole.protocol === IpProtocol.icmp) this.receiveIcmp(whole);
    else {
      counters.add('ipv4-unknown-protocol');
      this.sendUnreachable(UnreachableCode.protocol, whole);
    }
  }

  /** A VM's lease ended. */
  forgetGuest(ip: number): void {
    for (const connection of this.tcp.connections(ip)) connection.abort();
    this.udp.closeAll(ip);
    this.prober.stop(ip);
  }

  dispose(): void {
    this.tcp.dispose();
    this.disposed = true;
    this.udp.dispose();
    this.prober.dispose();
  }

  private receiveIcmp(packet: Ipv4Packet): void {
    const message = parseIcmp(packet.payload);
    if (typeof message === 'string') this.options.counters.add(message);
    else if (message.type === IcmpType.echoRequest) this.sendIcmp(packet.source, serializeIcmp({ ...message, type: IcmpType.echoReply }));
    else if (message.type === IcmpType.echoReply) this.prober.receive(packet.source, message);
    else this.options.counters.add('icmp-ignored');
  }

  private receiveUdp(packet: Ipv4Packet, sourceMac: number, group: boolean): void {
    const { ip, counters } = this.options;
    const datagram = parseUdp(packet.payload, packet.source, packet.destination);
    if (typeof datagram === 'string') {
      counters.add(datagram);
      return;
    }
    const toUs = packet.destination === ip;
    if ((toUs || packet.destination === BROADCAST_IP) && datagram.destinationPort === DHCP_SERVER_PORT) {
      const answer = this.dhcp.answer(datagram.payload, sourceMac);
      if (answer !== null) this.sendUdp(ip, DHCP_SERVER_PORT, answer.destinationIp, DHCP_CLIENT_PORT, answer.payload);
    } else if (group || packet.source === 0 || this.isGroupAddress(packet.destination)) {
      counters.add('ipv4-not-for-us');
    } else if (toUs && datagram.destinationPort === DNS_PORT) {
      this.dns.receive(datagram.payload, packet.source, (payload) => {
        if (!this.disposed) this.sendUdp(ip, DNS_PORT, packet.source, datagram.sourcePort, payload);
      });
    } else if (!this.udp.forward(packet.source, packet.destination, datagram)) {
      this.sendUnreachable(toUs ? UnreachableCode.port : UnreachableCode.prohibited, packet);
    }
  }

  /** Multicast, reserved, and the two broadcast addresses: nobody answers for them (RFC 1122 §3.2.1.3). */
  private isGroupAddress(address: number): boolean {
    return address >= FIRST_GROUP_ADDRESS || address === (this.options.ip | ~this.options.netmask) >>> 0;
  }

  private sendUdp(source: number, sourcePort: number, destination: number, destinationPort: number, payload: Uint8Array): void {
    const datagram = serializeUdp({ sourcePort, destinationPort, payload }, source, destination);
    this.options.output.sendDatagram(source, destination, IpProtocol.udp, datagram);
  }

  private sendIcmp(destination: number, message: Uint8Array): void {
    this.options.output.sendDatagram(this.options.ip, destination, IpProtocol.icmp, message);
  }

  private sendUnreachable(code: number, packet: Ipv4Packet): void {
    // No error about an error (RFC 1122 §3.2.2); echo requests are the only ICMP that merits one.
    const aboutIcmp = packet.protocol === IpProtocol.icmp && packet.payload[0] !== IcmpType.echoRequest;
    if (aboutIcmp) return;
    if (this.icmpErrors.take(this.options.clock.now())) this.sendIcmp(packet.source, serializeUnreachable(code, packet.bytes));
    else this.options.counters.add('icmp-limited');
  }
}
