import { parseIpv4, parseMac } from '../../src/net-relay/lan/frame-guard.ts';
import { addToSum, foldSum } from '../../src/net-relay/gateway/checksum.ts';
import type { Ipv4Address, MacAddress } from '../../src/shared/ids.ts';

interface End {
  readonly mac: string;
  readonly ip: string;
  readonly port: number;
}

const ETHERNET = 14;
const IPV4 = 20;
const UDP = 17;

/** A whole Ethernet frame with one UDP datagram without checksum (RFC 768 allows that), `bytes` long in all. */
export function udpFrame({ from, to, bytes }: { from: End; to: End; bytes: number }): Uint8Array {
  const frame = new Uint8Array(bytes);
  const view = new DataView(frame.buffer);
  frame.set(parseMac(to.mac as MacAddress), 0);
  frame.set(parseMac(from.mac as MacAddress), 6);
  view.setUint16(12, 0x0800);
  view.setUint16(ETHERNET, 0x4500);
  view.setUint16(ETHERNET + 2, bytes - ETHERNET);
  view.setUint8(ETHERNET + 8, 64);
  view.setUint8(ETHERNET + 9, UDP);
  frame.set(parseIpv4(from.ip as Ipv4Address), ETHERNET + 12);
  frame.set(parseIpv4(to.ip as Ipv4Address), ETHERNET + 16);
  view.setUint16(ETHERNET + 10, foldSum(addToSum(0, view, ETHERNET, ETHERNET + IPV4)));
  view.setUint16(ETHERNET + IPV4, from.port);
  view.setUint16(ETHERNET + IPV4 + 2, to.port);
  view.setUint16(ETHERNET + IPV4 + 4, bytes - ETHERNET - IPV4);
  return frame;
}
