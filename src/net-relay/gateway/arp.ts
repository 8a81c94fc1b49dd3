/**
 * ARP for IPv4 over Ethernet (RFC 826).
 *
 *   hardware:u16=1 protocol:u16=0x0800 hlen:u8=6 plen:u8=4 operation:u16
 *   senderMac:6 senderIp:4 targetMac:6 targetIp:4
 */
import { readMac, writeMac } from './address.ts';
import { EtherType } from './ethernet.ts';

const ARP_BYTES = 28;
const ArpOperation = { request: 1, reply: 2 } as const;

export interface ArpPacket {
  readonly operation: 'request' | 'reply';
  readonly senderMac: number;
  readonly senderIp: number;
  readonly targetMac: number;
  readonly targetIp: number;
}

/** Padding behind the packet is allowed: Ethernet pads short frames. */
export function parseArp(bytes: Uint8Array): ArpPacket | 'arp-malformed' {
  if (bytes.length < ARP_BYTES) return 'arp-malformed';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(0) !== 1 || view.getUint16(2) !== EtherType.ipv4 || view.getUint16(4) !== 0x0604) return 'arp-malformed';
  const operation = view.getUint16(6);
  if (operation !== ArpOperation.request && operation !== ArpOperation.reply) return 'arp-malformed';
  return {
    operation: operation === ArpOperation.request ? 'request' : 'reply',
    senderMac: readMac(view, 8),
    senderIp: view.getUint32(14),
    targetMac: readMac(view, 18),
    targetIp: view.getUint32(24),
  };
}

export function serializeArp(packet: ArpPacket): Uint8Array {
  const bytes = new Uint8Array(ARP_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 1);
  view.setUint16(2, EtherType.ipv4);
  view.setUint16(4, 0x0604);
  view.setUint16(6, ArpOperation[packet.operation]);
  writeMac(view, 8, packet.senderMac);
  view.setUint32(14, packet.senderIp);
  writeMac(view, 18, packet.targetMac);
  view.setUint32(24, packet.targetIp);
  return bytes;
}
