/**
 * The part of STUN (RFC 5389) that a WebRTC browser asks for when it gathers candidates: a binding request, answered
 * with the address it came from. Nothing else is understood, and nothing else is answered.
 *
 *   0                   16                  32
 *   | 00 message type   | message length    |   length without these 20 bytes
 *   | magic cookie 0x2112A442               |
 *   | transaction id, 96 bits               |
 *   | attributes: type:16 length:16 value, padded to 4 bytes …
 */

const HEADER_BYTES = 20;
const MAGIC_COOKIE = 0x2112a442;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const XOR_MAPPED_ADDRESS = 0x0020;
const FAMILY_IPV4 = 0x01;
const FAMILY_IPV6 = 0x02;
/** RFC 5389 §7.1: a message that fits a path of unknown MTU. Longer ones are not browsers' binding requests. */
const MAX_REQUEST_BYTES = 548;

/** A 12-byte transaction id if `message` is a well-formed binding request, otherwise null. */
export function parseBindingRequest(message: Uint8Array): Uint8Array | null {
  if (message.length < HEADER_BYTES || message.length > MAX_REQUEST_BYTES) return null;
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  if (view.getUint16(0) !== BINDING_REQUEST || view.getUint32(4) !== MAGIC_COOKIE) return null;
  const length = view.getUint16(2);
  if (length % 4 !== 0 || length !== message.length - HEADER_BYTES) return null;
  for (let at = HEADER_BYTES; at < message.length;) {
    const valueBytes = view.getUint16(at + 2);
    at += 4 + Math.ceil(valueBytes / 4) * 4;
    if (at > message.length) return null;
  }
  return message.slice(8, HEADER_BYTES);
}

/** The answer: `address` is the sender's address as seen from here (4 bytes of IPv4 or 16 of IPv6). */
export function serializeBindingSuccess(transactionId: Uint8Array, address: Uint8Array, port: number): Uint8Array {
  if (transactionId.length !== 12) throw new RangeError(`A STUN transaction id has 12 bytes, not ${transactionId.length}`);
  if (address.length !== 4 && address.length !== 16) throw new RangeError(`An address has 4 or 16 bytes, not ${address.length}`);
  const attributeBytes = 4 + 4 + address.length;
  const message = new Uint8Array(HEADER_BYTES + attributeBytes);
  const view = new DataView(message.buffer);
  view.setUint16(0, BINDING_SUCCESS);
  view.setUint16(2, attributeBytes);
  view.setUint32(4, MAGIC_COOKIE);
  message.set(transactionId, 8);
  view.setUint16(20, XOR_MAPPED_ADDRESS);
  view.setUint16(22, 4 + address.length);
  view.setUint8(25, address.length === 4 ? FAMILY_IPV4 : FAMILY_IPV6);
  view.setUint16(26, port ^ (MAGIC_COOKIE >>> 16));
  // §15.2: the address is masked with the cookie and the transaction id, which stand side by side in the header.
  for (let at = 0; at < address.length; at++) message[28 + at] = (address[at] ?? 0) ^ (message[4 + at] ?? 0);
  return message;
}

/** The bytes of a textual address as node:dgram reports it; IPv4 in IPv6 form becomes IPv4. Null if it is neither. */
export function addressBytes(text: string): Uint8Array | null {
  const plain = text.replace(/%.*$/, '');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain);
  const dotted = mapped?.[1] ?? plain;
  if (/^\d+\.\d+\.\d+\.\d+$/.test(dotted)) {
    const bytes = dotted.split('.').map(Number);
    return bytes.every((byte) => byte <= 255) ? Uint8Array.from(bytes) : null;
  }
  if (!plain.includes(':')) return null;
  const [head = '', tail, ...more] = plain.split('::');
  if (more.length > 0) return null;
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => (/^[0-9a-f]{1,4}$/i.test(group) ? parseInt(group, 16) : Number.NaN));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const missing = 8 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const all = [...left, ...Array.from({ length: missing }, () => 0), ...right];
  if (all.some((group) => Number.isNaN(group))) return null;
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}
