/**
 * A guest made of frames: it has a MAC and an IP address, a TCP stack, and remembers every frame it was sent. Frames
 * between it and the gateway pass at once, or as the test wires them.
 */
import type { Clock } from '../../../shared/clock.ts';
import { SeededRandom } from '../../../migration/testing/seeded-random.ts';
import { Counters } from '../../../shared/counters.ts';
import { formatIpv4Address, formatMacAddress } from '../address.ts';
import { parseArp, serializeArp, type ArpPacket } from '../arp.ts';
import type { CounterName } from '../gateway-counters.ts';
import { EtherType, parseEthernet, serializeEthernet, type EthernetFrame } from '../ethernet.ts';
import { IcmpType, parseIcmp, serializeIcmp, type IcmpMessage } from '../icmp.ts';
import { IpProtocol, parseIpv4, type Ipv4Packet } from '../ipv4.ts';
import type { Lease } from '../leases.ts';
import { PacketOutput } from '../packet-output.ts';
import { Reassembler } from '../reassembly.ts';
import { createTcpStack } from '../tcp-output.ts';
import type { TcpStack } from '../tcp/stack.ts';
import { parseUdp, serializeUdp, type UdpDatagram } from '../udp.ts';
import type { TestApplication } from './tcp-host.ts';

export interface FrameGuestOptions {
  readonly mac: number;
  readonly ip: number;
  readonly gatewayMac: number;
  readonly clock: Clock;
  /** Takes the guest's frames. */
  readonly send: (frame: Uint8Array) => void;
  readonly seed?: number;
  /** MAC of an IP address; default: the gateway's. */
  readonly resolve?: (ip: number) => number;
}

export class FrameGuest {
  readonly mac: number;
  readonly ip: number;
  readonly tcp: TcpStack;
  readonly counters = new Counters<CounterName>();
  readonly frames: EthernetFrame[] = [];
  readonly packets: Ipv4Packet[] = [];
  readonly datagrams: (UdpDatagram & { readonly source: number })[] = [];
  readonly icmp: (IcmpMessage & { readonly source: number })[] = [];
  readonly arps: ArpPacket[] = [];
  answersPing = true;
  /** The senders of ARP requests. */
  readonly learned = new Map<number, number>();
  /** Ports that take connections. */
  readonly services = new Map<number, () => TestApplication>();
  private readonly options: FrameGuestOptions;
  private readonly output: PacketOutput;
  private readonly reassembler = new Reassembler(this.counters);

  constructor(options: FrameGuestOptions) {
    const { mac, ip, gatewayMac, clock } = options;
    const random = new SeededRandom(options.seed ?? 1);
    this.options = options;
    this.mac = mac;
    this.ip = ip;
    this.output = new PacketOutput(mac, (frame) => this.send(frame), options.resolve ?? (() => gatewayMac), this.counters, 1);
    this.tcp = createTcpStack({
      clock,
      random32: () => random.below(0x1_0000_0000),
      output: this.output,
      counters: this.counters,
      onSyn: (endpoints, offer) => {
        const application = this.services.get(endpoints.localPort)?.();
        if (application === undefined) return false;
        application.connection = offer(application);
        application.connection.accept();
        return true;
      },
    });
  }

  lease(vmId: string, name: string): Lease {
    return { vmId, name, mac: formatMacAddress(this.mac), ip: formatIpv4Address(this.ip) };
  }

  send(frame: Uint8Array): void {
    this.options.send(frame);
  }

  sendArp(arp: ArpPacket, destination = 0xffff_ffff_ffff): void {
    this.send(serializeEthernet({ destination, source: this.mac, etherType: EtherType.arp, payload: serializeArp(arp) }));
  }

  sendPacket(destination: number, protocol: number, payload: Uint8Array, source = this.ip): void {
    this.output.sendDatagram(source, destination, protocol, payload);
  }

  sendUdp(destination: number, sourcePort: number, destinationPort: number, payload: Uint8Array, source = this.ip): void {
    this.sendPacket(destination, IpProtocol.udp, serializeUdp({ sourcePort, destinationPort, payload }, source, destination), source);
  }

  ping(destination: number, sequence: number, payload = new Uint8Array(56)): void {
    this.sendPacket(destination, IpProtocol.icmp, serializeIcmp({ type: IcmpType.echoRequest, code: 0, rest: 0x10000 + sequence, payload }));
  }

  connect(destination: number, port: number, application: TestApplication): void {
    application.connection = this.tcp.connect(this.ip, destination, port, application);
  }

  receive(bytes: Uint8Array): void {
    const frame = parseEthernet(bytes);
    if (typeof frame === 'string') throw new Error(frame);
    this.frames.push(frame);
    if (frame.etherType === EtherType.arp) {
      const arp = parseArp(frame.payload);
      if (arp !== 'arp-malformed') this.receiveArp(arp);
    }
    if (frame.etherType !== EtherType.ipv4) return;
    const packet = parseIpv4(frame.payload);
    if (typeof packet === 'string') throw new Error(packet);
    this.packets.push(packet);
    const whole = this.reassembler.accept(packet, this.options.clock.now());
    if (whole !== null) this.receivePacket(whole);
  }

  private receiveArp(arp: ArpPacket): void {
    this.arps.push(arp);
    if (arp.operation !== 'request' || arp.targetIp !== this.ip) return;
    this.learned.set(arp.senderIp, arp.senderMac);
    this.sendArp({ operation: 'reply', senderMac: this.mac, senderIp: this.ip, targetMac: arp.senderMac, targetIp: arp.senderIp }, arp.senderMac);
  }

  private receivePacket(packet: Ipv4Packet): void {
    const { source, destination, payload } = packet;
    if (packet.protocol === IpProtocol.tcp) this.tcp.receive(packet);
    if (packet.protocol === IpProtocol.udp) {
      const datagram = parseUdp(payload, source, destination);
      if (typeof datagram === 'string') throw new Error(datagram);
      this.datagrams.push({ ...datagram, source });
    }
    if (packet.protocol === IpProtocol.icmp) {
      const message = parseIcmp(payload);
      if (typeof message === 'string') throw new Error(message);
      this.icmp.push({ ...message, source });
      if (message.type === IcmpType.echoRequest && this.answersPing)
        this.sendPacket(source, IpProtocol.icmp, serializeIcmp({ ...message, type: IcmpType.echoReply }));
    }
  }
}
