/**
 * DHCP messages (RFC 2131, options of RFC 2132).
 *
 *   op:u8 htype:u8 hlen:u8 hops:u8 xid:u32 secs:u16 flags:u16 ciaddr:4 yiaddr:4 siaddr:4 giaddr:4
 *   chaddr:16 sname:64 file:128 cookie:u32 options
 */
import { readMac, writeMac } from './address.ts';

const FIXED_BYTES = 240;
/** The smallest message a client must take; some refuse shorter ones. */
const SHORTEST_BYTES = 300;
const COOKIE = 0x63825363;
export const DHCP_BROADCAST_FLAG = 0x8000;

export const DhcpType = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const;
export const DhcpOption = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  dns: 6,
  hostName: 12,
  domainName: 15,
  mtu: 26,
  broadcast: 28,
  requestedAddress: 50,
  leaseTime: 51,
  messageType: 53,
  serverId: 54,
  renewalTime: 58,
  rebindingTime: 59,
  end: 255,
} as const;

export interface DhcpMessage {
  /** 1: from a client, 2: from a server. */
  readonly op: 1 | 2;
  readonly transaction: number;
  readonly flags: number;
  readonly clientIp: number;
  readonly yourIp: number;
  readonly relayIp: number;
  readonly mac: number;
  /** By option number. An option that is split over several pieces is joined (RFC 3396). */
  readonly options: ReadonlyMap<number, Uint8Array>;
}

function join(first: Uint8Array | undefined, second: Uint8Array): Uint8Array {
  if (first === undefined) return second;
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

export function parseDhcp(bytes: Uint8Array): DhcpMessage | 'dhcp-malformed' {
  if (bytes.length < FIXED_BYTES) return 'dhcp-malformed';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const op = view.getUint8(0);
  if ((op !== 1 && op !== 2) || view.getUint16(1) !== 0x0106 || view.getUint32(236) !== COOKIE) return 'dhcp-malformed';
  const options = new Map<number, Uint8Array>();
  let at = FIXED_BYTES;
  for (;;) {
    const kind = bytes[at];
    if (kind === undefined || kind === DhcpOption.end) break;
    if (kind === DhcpOption.pad) {
      at++;
      continue;
    }
    const length = bytes[at + 1];
    if (length === undefined || at + 2 + length > bytes.length) return 'dhcp-malformed';
    options.set(kind, join(options.get(kind), bytes.subarray(at + 2, at + 2 + length)));
    at += 2 + length;
  }
  return {
    op,
    transaction: view.getUint32(4),
    flags: view.getUint16(10),
    clientIp: view.getUint32(12),
    yourIp: view.getUint32(16),
    relayIp: view.getUint32(24),
    mac: readMac(view, 28),
    options,
  };
}

/** Each option must be at most 255 bytes long. */
export function serializeDhcp(message: DhcpMessage): Uint8Array {
  let length = FIXED_BYTES + 1;
  for (const value of message.options.values()) length += 2 + value.length;
  const bytes = new Uint8Array(Math.max(length, SHORTEST_BYTES));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, message.op);
  view.setUint16(1, 0x0106);
  view.setUint32(4, message.transaction);
  view.setUint16(10, message.flags);
  view.setUint32(12, message.clientIp);
  view.setUint32(16, message.yourIp);
  view.setUint32(24, message.relayIp);
  writeMac(view, 28, message.mac);
  view.setUint32(236, COOKIE);
  let at = FIXED_BYTES;
  for (const [kind, value] of message.options) {
    bytes[at] = kind;
    bytes[at + 1] = value.length;
    bytes.set(value, at + 2);
    at += 2 + value.length;
  }
  bytes[at] = DhcpOption.end;
  return bytes;
}

/** A four-byte option (an address or a time in seconds), or null. */
export function uint32Option(message: DhcpMessage, kind: number): number | null {
  const value = message.options.get(kind);
  if (value?.length !== 4) return null;
  return new DataView(value.buffer, value.byteOffset, 4).getUint32(0);
}

export function uint32Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
