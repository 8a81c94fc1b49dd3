/**
 * ICMP (RFC 792): echo, and the errors a gateway owes its hosts.
 *
 *   type:u8 code:u8 checksum:u16 ( identifier:u16 sequence:u16 | rest:u32 ) payload
 */
import { addToSum, foldSum } from './checksum.ts';

const ICMP_HEADER_BYTES = 8;
export const IcmpType = { echoReply: 0, unreachable: 3, echoRequest: 8, timeExceeded: 11 } as const;
/** Codes of `unreachable`. */
export const UnreachableCode = { host: 1, protocol: 2, port: 3, prohibited: 13 } as const;
/** An error quotes the offending header and 8 bytes behind it (RFC 792), here with room for options. */
const QUOTED_BYTES = 68;

export interface IcmpMessage {
  readonly type: number;
  readonly code: number;
  /** Second half of the header: identifier (high 16 bits) and sequence of an echo. */
  readonly rest: number;
  readonly payload: Uint8Array;
}

export function parseIcmp(bytes: Uint8Array): IcmpMessage | 'icmp-malformed' | 'icmp-bad-checksum' {
  if (bytes.length < ICMP_HEADER_BYTES) return 'icmp-malformed';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (foldSum(addToSum(0, view, 0, bytes.length)) !== 0) return 'icmp-bad-checksum';
  return { type: view.getUint8(0), code: view.getUint8(1), rest: view.getUint32(4), payload: bytes.subarray(ICMP_HEADER_BYTES) };
}

export function serializeIcmp(message: IcmpMessage): Uint8Array {
  const bytes = new Uint8Array(ICMP_HEADER_BYTES + message.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, message.type);
  view.setUint8(1, message.code);
  view.setUint32(4, message.rest);
  bytes.set(message.payload, ICMP_HEADER_BYTES);
  view.setUint16(2, foldSum(addToSum(0, view, 0, bytes.length)));
  return bytes;
}

/** The "unreachable" that answers `offending`, an IPv4 packet with its header. */
export function serializeUnreachable(code: number, offending: Uint8Array): Uint8Array {
  return serializeIcmp({ type: IcmpType.unreachable, code, rest: 0, payload: offending.subarray(0, QUOTED_BYTES) });
}
