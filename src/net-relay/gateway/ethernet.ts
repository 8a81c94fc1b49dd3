/**
 * Ethernet II (RFC 894).
 *
 *   destination:6 source:6 etherType:u16be payload
 *
 * Frames carry no checksum here: the transports below keep them whole.
 */
import { readMac, writeMac } from './address.ts';

export const ETHERNET_HEADER_BYTES = 14;
/** The largest IP packet in a frame; the room's LAN has no other size. */
export const MTU = 1500;

export const EtherType = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;

export interface EthernetFrame {
  readonly destination: number;
  readonly source: number;
  readonly etherType: number;
  readonly payload: Uint8Array;
}

export type EthernetFault = 'ethernet-truncated' | 'ethernet-oversized';

export function parseEthernet(bytes: Uint8Array): EthernetFrame | EthernetFault {
  if (bytes.length < ETHERNET_HEADER_BYTES) return 'ethernet-truncated';
  // 4 bytes of slack for a VLAN tag, which the room does not use but a real network may leave on a frame.
  if (bytes.length > ETHERNET_HEADER_BYTES + MTU + 4) return 'ethernet-oversized';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    destination: readMac(view, 0),
    source: readMac(view, 6),
    etherType: view.getUint16(12),
    payload: bytes.subarray(ETHERNET_HEADER_BYTES),
  };
}

/** Writes the header at the start of `view`. */
export function writeEthernetHeader(view: DataView, destination: number, source: number, etherType: number): void {
  writeMac(view, 0, destination);
  writeMac(view, 6, source);
  view.setUint16(12, etherType);
}

export function serializeEthernet(frame: EthernetFrame): Uint8Array {
  const bytes = new Uint8Array(ETHERNET_HEADER_BYTES + frame.payload.length);
  writeEthernetHeader(new DataView(bytes.buffer), frame.destination, frame.source, frame.etherType);
  bytes.set(frame.payload, ETHERNET_HEADER_BYTES);
  return bytes;
}
