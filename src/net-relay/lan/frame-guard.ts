/**
 * What a guest may send: frames from its own MAC, IPv4 and ARP from its own address, nothing else. Pure; bytes in, a
 * reason out. Layouts: Ethernet II; ARP, RFC 826; IPv4, RFC 791; UDP, RFC 768.
 */
import type { Ipv4Address, MacAddress } from '../../shared/ids.ts';
import { MAX_FRAME_BYTES } from '../protocol/relay-protocol.ts';

export type GuardRefusal =
  | 'runt'
  | 'oversized'
  | 'foreign-mac'
  | 'malformed-arp'
  | 'spoofed-arp'
  | 'malformed-ip'
  | 'spoofed-ip'
  /** IPv6 does not exist on this LAN; guests try it anyway. */
  | 'ipv6'
  | 'other-protocol';

const ETHERNET_HEADER = 14;
const ARP_LENGTH = 28;
const IPV4_HEADER = 20;
const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
const IP_PROTOCOL_UDP = 17;
const DHCP_SERVER_PORT = 67;

export function parseMac(mac: MacAddress): Uint8Array {
  return Uint8Array.from(mac.split(':'), (octet) => Number.parseInt(octet, 16));
}

export function parseIpv4(address: Ipv4Address): Uint8Array {
  return Uint8Array.from(address.split('.'), Number);
}

const u16 = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

function has(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let index = 0; index < expected.length; index++) {
    if (bytes[at + index] !== expected[index]) return false;
  }
  return true;
}

const isZero4 = (bytes: Uint8Array, at: number): boolean => bytes[at] === 0 && bytes[at + 1] === 0 && bytes[at + 2] === 0 && bytes[at + 3] === 0;

/** Null if the guest with this MAC and IP (as bytes) may send the frame. */
export function guardFrame(frame: Uint8Array, mac: Uint8Array, ip: Uint8Array): GuardRefusal | null {
  if (frame.length < ETHERNET_HEADER) return 'runt';
  if (frame.length > MAX_FRAME_BYTES) return 'oversized';
  if (!has(frame, 6, mac)) return 'foreign-mac';
  switch (u16(frame, 12)) {
    case ETHERTYPE.arp:
      return guardArp(frame, mac, ip);
    case ETHERTYPE.ipv4:
      return guardIpv4(frame, ip);
    case ETHERTYPE.ipv6:
      return 'ipv6';
    default:
      return 'other-protocol';
  }
}

function guardArp(frame: Uint8Array, mac: Uint8Array, ip: Uint8Array): GuardRefusal | null {
  const at = ETHERNET_HEADER;
  if (frame.length < at + ARP_LENGTH) return 'malformed-arp';
  if (u16(frame, at) !== 1 || u16(frame, at + 2) !== ETHERTYPE.ipv4 || frame[at + 4] !== 6 || frame[at + 5] !== 4) return 'malformed-arp';
  if (!has(frame, at + 8, mac)) return 'spoofed-arp';
  // Sender address 0.0.0.0 is a probe for an address not taken yet (RFC 5227).
  return has(frame, at + 14, ip) || isZero4(frame, at + 14) ? null : 'spoofed-arp';
}

function guardIpv4(frame: Uint8Array, ip: Uint8Array): GuardRefusal | null {
  const at = ETHERNET_HEADER;
  if (frame.length < at + IPV4_HEADER) return 'malformed-ip';
  const version = (frame[at] ?? 0) >> 4;
  const headerLength = ((frame[at] ?? 0) & 0x0f) * 4;
  if (version !== 4 || headerLength < IPV4_HEADER || frame.length < at + headerLength) return 'malformed-ip';
  if (has(frame, at + 12, ip)) return null;
  // Without an address yet, a guest may only ask for one.
  const asksForAddress = isZero4(frame, at + 12) && frame[at + 9] === IP_PROTOCOL_UDP && u16(frame, at + headerLength + 2) === DHCP_SERVER_PORT;
  return asksForAddress ? null : 'spoofed-ip';
}
