/**
 * UDP (RFC 768).
 *
 *   sourcePort:u16 destinationPort:u16 length:u16 checksum:u16 payload
 */
import { addToSum, foldSum, pseudoHeaderSum } from './checksum.ts';
import { IpProtocol } from './ipv4.ts';

const UDP_HEADER_BYTES = 8;

export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

export function parseUdp(bytes: Uint8Array, source: number, destination: number): UdpDatagram | 'udp-malformed' | 'udp-bad-checksum' {
  if (bytes.length < UDP_HEADER_BYTES) return 'udp-malformed';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint16(4);
  if (length < UDP_HEADER_BYTES || length > bytes.length) return 'udp-malformed';
  const hasChecksum = view.getUint16(6) !== 0;
  if (hasChecksum && foldSum(addToSum(pseudoHeaderSum(source, destination, IpProtocol.udp, length), view, 0, length)) !== 0) {
    return 'udp-bad-checksum';
  }
  return { sourcePort: view.getUint16(0), destinationPort: view.getUint16(2), payload: bytes.subarray(UDP_HEADER_BYTES, length) };
}

export function serializeUdp(datagram: UdpDatagram, source: number, destination: number): Uint8Array {
  const length = UDP_HEADER_BYTES + datagram.payload.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, datagram.sourcePort);
  view.setUint16(2, datagram.destinationPort);
  view.setUint16(4, length);
  bytes.set(datagram.payload, UDP_HEADER_BYTES);
  const sum = foldSum(addToSum(pseudoHeaderSum(source, destination, IpProtocol.udp, length), view, 0, length));
  // Zero means "no checksum"; in one's complement, 0xffff is the same sum.
  view.setUint16(6, sum === 0 ? 0xffff : sum);
  return bytes;
}
