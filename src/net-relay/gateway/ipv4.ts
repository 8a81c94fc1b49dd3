/**
 * IPv4 (RFC 791). IPv6 is not there: its frames are dropped and counted.
 *
 *   versionAndLength:u8 tos:u8 totalLength:u16 id:u16 flagsAndOffset:u16 ttl:u8 protocol:u8 checksum:u16 source:4 destination:4
 *   options payload
 */
import { addToSum, foldSum } from './checksum.ts';

export const IPV4_HEADER_BYTES = 20;
/** Hops our own packets may take; what Linux uses. */
const IPV4_TTL = 64;
export const IpProtocol = { icmp: 1, tcp: 6, udp: 17 } as const;

export const FLAG_DONT_FRAGMENT = 0x4000;
export const FLAG_MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;

export interface Ipv4Packet {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly id: number;
  readonly ttl: number;
  /** Byte offset of the payload in the whole datagram. */
  readonly fragmentOffset: number;
  readonly moreFragments: boolean;
  readonly payload: Uint8Array;
  /** Header and payload as received: an ICMP error quotes its start. */
  readonly bytes: Uint8Array;
}

export type Ipv4Fault = 'ipv4-malformed' | 'ipv4-bad-checksum' | 'ipv4-source-routed';

/** Loose and strict source routing: options that let a sender choose the path; nobody honest uses them. */
function hasSourceRoute(bytes: Uint8Array, headerBytes: number): boolean {
  let at = IPV4_HEADER_BYTES;
  while (at < headerBytes) {
    const kind = bytes[at] ?? 0;
    if (kind === 0) return false;
    if (kind === 131 || kind === 137) return true;
    const length = kind === 1 ? 1 : (bytes[at + 1] ?? 0);
    if (length < 1) return false;
    at += length;
  }
  return false;
}

/** Bytes behind the total length are Ethernet padding and ignored. */
export function parseIpv4(bytes: Uint8Array): Ipv4Packet | Ipv4Fault {
  if (bytes.length < IPV4_HEADER_BYTES) return 'ipv4-malformed';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const versionAndLength = view.getUint8(0);
  const headerBytes = (versionAndLength & 15) * 4;
  const totalBytes = view.getUint16(2);
  if (versionAndLength >> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES) return 'ipv4-malformed';
  if (totalBytes < headerBytes || totalBytes > bytes.length) return 'ipv4-malformed';
  if (foldSum(addToSum(0, view, 0, headerBytes)) !== 0) return 'ipv4-bad-checksum';
  if (headerBytes > IPV4_HEADER_BYTES && hasSourceRoute(bytes, headerBytes)) return 'ipv4-source-routed';
  const flagsAndOffset = view.getUint16(6);
  return {
    source: view.getUint32(12),
    destination: view.getUint32(16),
    protocol: view.getUint8(9),
    id: view.getUint16(4),
    ttl: view.getUint8(8),
    fragmentOffset: (flagsAndOffset & OFFSET_MASK) * 8,
    moreFragments: (flagsAndOffset & FLAG_MORE_FRAGMENTS) !== 0,
    payload: bytes.subarray(headerBytes, totalBytes),
    bytes: bytes.subarray(0, totalBytes),
  };
}

export interface Ipv4Header {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly id: number;
  /** FLAG_… bits and the offset in units of 8 bytes. */
  readonly flagsAndOffset: number;
}

/** Writes a 20-byte header at `at` for a payload of `payloadBytes`. */
export function writeIpv4Header(view: DataView, at: number, header: Ipv4Header, payloadBytes: number): void {
  view.setUint16(at, 0x4500);
  view.setUint16(at + 2, IPV4_HEADER_BYTES + payloadBytes);
  view.setUint16(at + 4, header.id);
  view.setUint16(at + 6, header.flagsAndOffset);
  view.setUint16(at + 8, (IPV4_TTL << 8) | header.protocol);
  view.setUint16(at + 10, 0);
  view.setUint32(at + 12, header.source);
  view.setUint32(at + 16, header.destination);
  view.setUint16(at + 10, foldSum(addToSum(0, view, at, IPV4_HEADER_BYTES)));
}

export function serializeIpv4(header: Ipv4Header, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(IPV4_HEADER_BYTES + payload.length);
  writeIpv4Header(new DataView(bytes.buffer), 0, header, payload.length);
  bytes.set(payload, IPV4_HEADER_BYTES);
  return bytes;
}
