/**
 * DHCP (RFC 2131): a guest's address is fixed by its MAC address, for the VM's life. Nothing a guest says changes a
 * lease; renewing, releasing and declining are answered or counted, and the lease stays.
 */
import { BROADCAST_IP } from './address.ts';
import type { GatewayCounters } from './gateway-counters.ts';
import { DHCP_BROADCAST_FLAG, DhcpOption, DhcpType, parseDhcp, serializeDhcp, uint32Bytes, uint32Option, type DhcpMessage } from './dhcp-message.ts';
import { MTU } from './ethernet.ts';
import { dnsLabel, type Guest } from './leases.ts';

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;
/** The address never changes; the time only decides how often a guest asks. */
const LEASE_SECONDS = 86_400;

export interface DhcpServerOptions {
  readonly serverIp: number;
  readonly netmask: number;
  readonly domain: string;
  readonly counters: GatewayCounters;
  readonly guestByMac: (mac: number) => Guest | undefined;
}

export interface DhcpAnswer {
  readonly destinationIp: number;
  readonly payload: Uint8Array;
}

export class DhcpServer {
  private readonly options: DhcpServerOptions;

  constructor(options: DhcpServerOptions) {
    this.options = options;
  }

  /** Answers the `payload` of a datagram to port 67 from `sourceMac`; null: no answer is to be sent. */
  answer(payload: Uint8Array, sourceMac: number): DhcpAnswer | null {
    const { counters, guestByMac, serverIp } = this.options;
    const message = parseDhcp(payload);
    if (message === 'dhcp-malformed' || message.op !== 1 || message.relayIp !== 0) {
      counters.add('dhcp-malformed');
      return null;
    }
    const guest = guestByMac(message.mac);
    if (guest === undefined || message.mac !== sourceMac) {
      counters.add('dhcp-unknown-client');
      return null;
    }
    const chosenServer = uint32Option(message, DhcpOption.serverId);
    if (chosenServer !== null && chosenServer !== serverIp) return null;
    switch (message.options.get(DhcpOption.messageType)?.[0]) {
      case DhcpType.discover:
        return this.grant(DhcpType.offer, message, guest);
      case DhcpType.request:
        return this.answerRequest(message, guest);
      case DhcpType.inform:
        return this.grant(DhcpType.ack, message, guest);
      case DhcpType.decline:
        counters.add('dhcp-declined');
        return null;
      case DhcpType.release:
        counters.add('dhcp-released');
        return null;
      default:
        counters.add('dhcp-malformed');
        return null;
    }
  }

  /** Selecting and rebooting name the address as an option, renewing and rebinding as their own (RFC 2131 §4.3.2). */
  private answerRequest(message: DhcpMessage, guest: Guest): DhcpAnswer {
    const wanted = uint32Option(message, DhcpOption.requestedAddress) ?? message.clientIp;
    if (wanted === guest.ip) return this.grant(DhcpType.ack, message, guest);
    this.options.counters.add('dhcp-refused');
    const options = new Map<number, Uint8Array>([
      [DhcpOption.messageType, Uint8Array.of(DhcpType.nak)],
      [DhcpOption.serverId, uint32Bytes(this.options.serverIp)],
    ]);
    // A client with a wrong address may not be reachable under it: always by broadcast.
    return { destinationIp: BROADCAST_IP, payload: serializeDhcp({ ...message, op: 2, clientIp: 0, yourIp: 0, options }) };
  }

  private grant(type: number, message: DhcpMessage, guest: Guest): DhcpAnswer {
    const { serverIp, netmask, domain, counters } = this.options;
    counters.add('dhcp-answered');
    const informs = message.options.get(DhcpOption.messageType)?.[0] === DhcpType.inform;
    const options = new Map<number, Uint8Array>([
      [DhcpOption.messageType, Uint8Array.of(type)],
      [DhcpOption.serverId, uint32Bytes(serverIp)],
    ]);
    if (!informs) {
      options.set(DhcpOption.leaseTime, uint32Bytes(LEASE_SECONDS));
      options.set(DhcpOption.renewalTime, uint32Bytes(LEASE_SECONDS / 2));
      options.set(DhcpOption.rebindingTime, uint32Bytes((LEASE_SECONDS * 7) / 8));
    }
    options.set(DhcpOption.subnetMask, uint32Bytes(netmask));
    options.set(DhcpOption.broadcast, uint32Bytes((guest.ip | ~netmask) >>> 0));
    options.set(DhcpOption.router, uint32Bytes(serverIp));
    options.set(DhcpOption.dns, uint32Bytes(serverIp));
    options.set(DhcpOption.mtu, Uint8Array.of(MTU >> 8, MTU & 255));
    options.set(DhcpOption.hostName, new TextEncoder().encode(dnsLabel(guest.name)));
    options.set(DhcpOption.domainName, new TextEncoder().encode(domain));
    const broadcast = message.clientIp === 0 && (message.flags & DHCP_BROADCAST_FLAG) !== 0;
    return {
      destinationIp: message.clientIp !== 0 ? message.clientIp : broadcast ? BROADCAST_IP : guest.ip,
      payload: serializeDhcp({ ...message, op: 2, yourIp: informs ? 0 : guest.ip, options }),
    };
  }
}
