/**
 * The gateway's network card: Ethernet and ARP. It believes only what the lease table says. A frame counts as a guest's
 * if its MAC address is leased, and then its IP address must be the leased one. Machines of a real network (behind a
 * TAP) may be learned, if that is switched on, but never as a guest or as the gateway.
 */
import { BROADCAST_IP, BROADCAST_MAC, isGroupMac } from './address.ts';
import { parseArp, serializeArp, type ArpPacket } from './arp.ts';
import type { CounterName, GatewayCounters } from './gateway-counters.ts';
import { EtherType, parseEthernet, serializeEthernet } from './ethernet.ts';
import { IpProtocol, parseIpv4, type Ipv4Packet } from './ipv4.ts';
import type { Guests } from './leases.ts';

/** Machines of a real network that are remembered; more than the LAN's /24 has addresses. */
const MAX_NEIGHBOURS = 256;

export interface LinkLayerOptions {
  readonly mac: number;
  readonly ip: number;
  readonly netmask: number;
  readonly guests: Guests;
  /** A real network is on the switch. */
  readonly learnNeighbours: boolean;
  readonly counters: GatewayCounters;
  readonly send: (frame: Uint8Array) => void;
  /** A packet whose sender is who it claims to be. `group`: the frame was broadcast or multicast. */
  readonly onPacket: (packet: Ipv4Packet, sourceMac: number, group: boolean) => void;
}

export class LinkLayer {
  private readonly options: LinkLayerOptions;
  private readonly neighbours = new Map<number, number>();

  constructor(options: LinkLayerOptions) {
    this.options = options;
  }

  /** The MAC address of a machine on the LAN, or null. No ARP is needed: the gateway knows who is there. */
  resolve(ip: number): number | null {
    if (ip === BROADCAST_IP) return BROADCAST_MAC;
    return this.options.guests.byIp(ip)?.mac ?? this.neighbours.get(ip) ?? null;
  }

  receive(bytes: Uint8Array): void {
    const { mac, counters } = this.options;
    const frame = parseEthernet(bytes);
    if (typeof frame === 'string') {
      counters.add(frame);
      return;
    }
    const { source, destination, etherType } = frame;
    if (isGroupMac(source)) counters.add('ethernet-group-source');
    else if (source === mac) counters.add('spoofed-gateway');
    else if (destination !== mac && !isGroupMac(destination)) counters.add('ethernet-not-for-us');
    else if (etherType === EtherType.ipv4) this.receiveIpv4(frame.payload, source, isGroupMac(destination));
    else if (etherType === EtherType.arp) this.receiveArp(frame.payload, source);
    else counters.add(etherType === EtherType.ipv6 ? 'ipv6-unsupported' : 'ethernet-unknown-type');
  }

  private receiveIpv4(bytes: Uint8Array, source: number, group: boolean): void {
    const packet = parseIpv4(bytes);
    if (typeof packet === 'string') {
      this.options.counters.add(packet);
      return;
    }
    // A guest that has no address yet asks for it from 0.0.0.0.
    const unconfigured = packet.source === 0 && packet.protocol === IpProtocol.udp;
    const objection = this.objection(source, packet.source, unconfigured);
    if (objection === null) this.options.onPacket(packet, source, group);
    else this.options.counters.add(objection);
  }

  private receiveArp(bytes: Uint8Array, source: number): void {
    const { counters, ip } = this.options;
    const arp = parseArp(bytes);
    if (arp === 'arp-malformed') {
      counters.add(arp);
      return;
    }
    // From 0.0.0.0: a probe (RFC 5227), which asks before it claims.
    const objection = arp.senderMac === source ? this.objection(source, arp.senderIp, arp.senderIp === 0) : 'spoofed-ip';
    if (objection !== null) counters.add(objection);
    else if (arp.operation === 'request' && arp.targetIp === ip) this.answer(arp);
  }

  private answer(request: ArpPacket): void {
    const { mac, ip } = this.options;
    const payload = serializeArp({ operation: 'reply', senderMac: mac, senderIp: ip, targetMac: request.senderMac, targetIp: request.senderIp });
    this.options.send(serializeEthernet({ destination: request.senderMac, source: mac, etherType: EtherType.arp, payload }));
  }

  /** Why a sender with these addresses is not believed; null if it is. */
  private objection(mac: number, ip: number, withoutAddress: boolean): CounterName | null {
    const { guests } = this.options;
    if (ip === this.options.ip) return 'spoofed-gateway';
    const guest = guests.byMac(mac);
    if (guest !== undefined) return ip === guest.ip || withoutAddress ? null : 'spoofed-ip';
    if (!this.options.learnNeighbours) return 'unknown-sender';
    if (withoutAddress) return null;
    return guests.byIp(ip) === undefined && this.isOnLan(ip) ? this.learn(ip, mac) : 'spoofed-ip';
  }

  private isOnLan(ip: number): boolean {
    const { netmask } = this.options;
    return ((ip ^ this.options.ip) & netmask) === 0;
  }

  private learn(ip: number, mac: number): CounterName | null {
    if (this.neighbours.get(ip) === mac) return null;
    if (this.neighbours.size >= MAX_NEIGHBOURS && !this.neighbours.has(ip)) return 'neighbours-too-many';
    this.neighbours.set(ip, mac);
    return null;
  }
}
