/** Frames that tell a network where a machine is now: a gratuitous ARP request (RFC 5227) and a RARP request (RFC 903). */
import { parseIpv4, parseMac } from './frame-guard.ts';
import type { Ipv4Address, MacAddress } from '../../shared/ids.ts';

/** Shortest Ethernet frame without checksum; shorter ones are padded. */
const MIN_FRAME_BYTES = 60;
const BROADCAST = new Uint8Array(6).fill(0xff);
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_RARP = 0x8035;
const ARP_REQUEST = 1;
const RARP_REQUEST = 3;

interface ArpFields {
  readonly etherType: number;
  readonly operation: number;
  readonly senderIp: Uint8Array;
  readonly targetMac: Uint8Array;
  readonly targetIp: Uint8Array;
}

function arpFrame(to: Uint8Array, mac: Uint8Array, fields: ArpFields): Uint8Array {
  const frame = new Uint8Array(MIN_FRAME_BYTES);
  const view = new DataView(frame.buffer);
  frame.set(to, 0);
  frame.set(mac, 6);
  view.setUint16(12, fields.etherType);
  view.setUint16(14, 1);
  view.setUint16(16, 0x0800);
  frame[18] = 6;
  frame[19] = 4;
  view.setUint16(20, fields.operation);
  frame.set(mac, 22);
  frame.set(fields.senderIp, 28);
  frame.set(fields.targetMac, 32);
  frame.set(fields.targetIp, 38);
  return frame;
}

const NO_MAC = new Uint8Array(6);
const NO_IP = new Uint8Array(4);

/** "I am `ip`, at `mac`": to everybody, or to one machine. */
export function gratuitousArp(mac: MacAddress, ip: Ipv4Address, to?: MacAddress): Uint8Array {
  const address = parseIpv4(ip);
  const destination = to === undefined ? BROADCAST : parseMac(to);
  return arpFrame(destination, parseMac(mac), { etherType: ETHERTYPE_ARP, operation: ARP_REQUEST, senderIp: address, targetMac: NO_MAC, targetIp: address });
}

/** Tells bridges the MAC's new place, whatever protocol the machine speaks. */
export function rarpAnnouncement(mac: MacAddress): Uint8Array {
  const own = parseMac(mac);
  return arpFrame(BROADCAST, own, { etherType: ETHERTYPE_RARP, operation: RARP_REQUEST, senderIp: NO_IP, targetMac: own, targetIp: NO_IP });
}
