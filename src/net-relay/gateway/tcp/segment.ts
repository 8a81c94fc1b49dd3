/**
 * TCP segments (RFC 9293), with the options MSS, window scale (RFC 7323), SACK (RFC 2018) and timestamps (RFC 7323).
 *
 *   sourcePort:u16 destinationPort:u16 seq:u32 ack:u32 dataOffset:u4 reserved:u4 flags:u8 window:u16 checksum:u16
 *   urgent:u16 options payload
 */
import { addToSum, foldSum, pseudoHeaderSum } from '../checksum.ts';
import { IpProtocol } from '../ipv4.ts';

export const TCP_HEADER_BYTES = 20;
export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;
/** Three ranges fit beside a timestamp. */
export const MAX_SACK_RANGES = 3;
/** The largest shift RFC 7323 allows; a larger one in a SYN counts as this. */
const MAX_WINDOW_SHIFT = 14;

const OptionKind = { end: 0, nop: 1, mss: 2, windowScale: 3, sackPermitted: 4, sack: 5, timestamps: 8 } as const;

/** A range of sequence numbers, `end` exclusive. */
export interface SeqRange {
  readonly start: number;
  readonly end: number;
}

export interface TcpOptions {
  readonly mss?: number;
  readonly windowShift?: number;
  readonly sackPermitted?: boolean;
  readonly timestamp?: { readonly value: number; readonly echo: number };
  readonly sack?: readonly SeqRange[];
}

export interface TcpSegment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack: number;
  /** TcpFlag bits; urgent, ECE and CWR are ignored. */
  readonly flags: number;
  /** As on the wire, unscaled. */
  readonly window: number;
  readonly options: TcpOptions;
  readonly payload: Uint8Array;
}

export type TcpFault = 'tcp-malformed' | 'tcp-bad-checksum';

const NO_OPTIONS: TcpOptions = {};

function parseOptions(view: DataView, from: number, to: number): TcpOptions | null {
  const options: { -readonly [K in keyof TcpOptions]: TcpOptions[K] } = {};
  let at = from;
  while (at < to) {
    const kind = view.getUint8(at);
    if (kind === OptionKind.end) break;
    if (kind === OptionKind.nop) {
      at++;
      continue;
    }
    if (at + 2 > to) return null;
    const length = view.getUint8(at + 1);
    if (length < 2 || at + length > to) return null;
    if (kind === OptionKind.mss && length === 4) options.mss = view.getUint16(at + 2);
    else if (kind === OptionKind.windowScale && length === 3) options.windowShift = Math.min(view.getUint8(at + 2), MAX_WINDOW_SHIFT);
    else if (kind === OptionKind.sackPermitted && length === 2) options.sackPermitted = true;
    else if (kind === OptionKind.timestamps && length === 10) {
      options.timestamp = { value: view.getUint32(at + 2), echo: view.getUint32(at + 6) };
    } else if (kind === OptionKind.sack && length % 8 === 2) {
      const sack: SeqRange[] = [];
      for (let range = at + 2; range < at + length; range += 8) sack.push({ start: view.getUint32(range), end: view.getUint32(range + 4) });
      options.sack = sack;
    }
    at += length;
  }
  return options;
}

export function parseTcp(bytes: Uint8Array, source: number, destination: number): TcpSegment | TcpFault {
  if (bytes.length < TCP_HEADER_BYTES) return 'tcp-malformed';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = (view.getUint8(12) >> 4) * 4;
  if (headerBytes < TCP_HEADER_BYTES || headerBytes > bytes.length) return 'tcp-malformed';
  if (foldSum(addToSum(pseudoHeaderSum(source, destination, IpProtocol.tcp, bytes.length), view, 0, bytes.length)) !== 0) {
    return 'tcp-bad-checksum';
  }
  const options = headerBytes === TCP_HEADER_BYTES ? NO_OPTIONS : parseOptions(view, TCP_HEADER_BYTES, headerBytes);
  if (options === null) return 'tcp-malformed';
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    seq: view.getUint32(4),
    ack: view.getUint32(8),
    flags: view.getUint8(13) & 0x1f,
    window: view.getUint16(14),
    options,
    payload: bytes.subarray(headerBytes),
  };
}

/** Bytes of options, padded to a multiple of four. */
export function optionBytes(options: TcpOptions): number {
  return (
    (options.mss === undefined ? 0 : 4) +
    (options.windowShift === undefined ? 0 : 4) +
    (options.sackPermitted === true ? 4 : 0) +
    (options.timestamp === undefined ? 0 : 12) +
    (options.sack === undefined || options.sack.length === 0 ? 0 : 4 + 8 * options.sack.length)
  );
}

export type TcpHeader = Omit<TcpSegment, 'payload'>;

function writeOptions(view: DataView, from: number, options: TcpOptions): void {
  let at = from;
  if (options.mss !== undefined) {
    view.setUint16(at, (OptionKind.mss << 8) | 4);
    view.setUint16(at + 2, options.mss);
    at += 4;
  }
  if (options.windowShift !== undefined) {
    view.setUint32(at, ((OptionKind.nop << 24) | (OptionKind.windowScale << 16) | (3 << 8) | options.windowShift) >>> 0);
    at += 4;
  }
  if (options.sackPermitted === true) {
    view.setUint32(at, ((OptionKind.nop << 24) | (OptionKind.nop << 16) | (OptionKind.sackPermitted << 8) | 2) >>> 0);
    at += 4;
  }
  if (options.timestamp !== undefined) {
    view.setUint32(at, ((OptionKind.nop << 24) | (OptionKind.nop << 16) | (OptionKind.timestamps << 8) | 10) >>> 0);
    view.setUint32(at + 4, options.timestamp.value);
    view.setUint32(at + 8, options.timestamp.echo);
    at += 12;
  }
  if (options.sack !== undefined && options.sack.length > 0) {
    view.setUint32(at, ((OptionKind.nop << 24) | (OptionKind.nop << 16) | (OptionKind.sack << 8) | (2 + 8 * options.sack.length)) >>> 0);
    at += 4;
    for (const range of options.sack) {
      view.setUint32(at, range.start);
      view.setUint32(at + 4, range.end);
      at += 8;
    }
  }
}

/**
 * Writes the header at `at`, in front of `payloadBytes` that are already in place behind it, and the checksum over both.
 * The header takes TCP_HEADER_BYTES + optionBytes(header.options).
 */
export function writeTcpHeader(view: DataView, at: number, header: TcpHeader, payloadBytes: number, source: number, destination: number): void {
  const headerBytes = TCP_HEADER_BYTES + optionBytes(header.options);
  view.setUint16(at, header.sourcePort);
  view.setUint16(at + 2, header.destinationPort);
  view.setUint32(at + 4, header.seq);
  view.setUint32(at + 8, header.ack);
  view.setUint16(at + 12, (headerBytes << 10) | header.flags);
  view.setUint16(at + 14, header.window);
  view.setUint32(at + 16, 0);
  writeOptions(view, at + TCP_HEADER_BYTES, header.options);
  const length = headerBytes + payloadBytes;
  view.setUint16(at + 16, foldSum(addToSum(pseudoHeaderSum(source, destination, IpProtocol.tcp, length), view, at, length)));
}

export function serializeTcp(segment: TcpSegment, source: number, destination: number): Uint8Array {
  const headerBytes = TCP_HEADER_BYTES + optionBytes(segment.options);
  const bytes = new Uint8Array(headerBytes + segment.payload.length);
  bytes.set(segment.payload, headerBytes);
  writeTcpHeader(new DataView(bytes.buffer), 0, segment, segment.payload.length, source, destination);
  return bytes;
}
