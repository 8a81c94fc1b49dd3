/**
 * DNS queries and their answers (RFC 1035): one question, addresses as answers.
 *
 *   id:u16 flags:u16 questions:u16 answers:u16 authorities:u16 additionals:u16
 *   question := name type:u16 class:u16      name := ( length:u8 label )* 0
 */
const HEADER_BYTES = 12;
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;
/** Fits 512 bytes behind the longest question; a client takes the first anyway. */
const MAX_ANSWERS = 14;
/** A pointer to the question's name, which always stands behind the header. */
const NAME_POINTER = 0xc000 | HEADER_BYTES;

export const DnsType = { a: 1, aaaa: 28, any: 255 } as const;
export const DnsClass = { internet: 1 } as const;
export const DnsCode = { ok: 0, formatError: 1, serverFailure: 2, noSuchName: 3, notImplemented: 4, refused: 5 } as const;

const Flag = { response: 0x8000, authoritative: 0x0400, recursionDesired: 0x0100, recursionAvailable: 0x0080 } as const;
const OPCODE_MASK = 0x7800;

export interface DnsQuery {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** In lower case, without the final dot. Printable characters except dots only. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** The question as it was asked; the answer repeats it, letter by letter. */
  readonly question: Uint8Array;
}

/** A standard query with one question; anything behind it (EDNS) is ignored. */
export function parseDnsQuery(bytes: Uint8Array): DnsQuery | 'dns-malformed' {
  if (bytes.length < HEADER_BYTES) return 'dns-malformed';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint16(2);
  if ((flags & (Flag.response | OPCODE_MASK)) !== 0 || view.getUint16(4) !== 1) return 'dns-malformed';
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (;;) {
    const length = bytes[at];
    // A longer "label" is a pointer, which has nothing to point to in a question.
    if (length === undefined || length > MAX_LABEL_BYTES || at - HEADER_BYTES > MAX_NAME_BYTES) return 'dns-malformed';
    at++;
    if (length === 0) break;
    if (at + length > bytes.length) return 'dns-malformed';
    const label = String.fromCharCode(...bytes.subarray(at, at + length));
    if (!/^[!-~]+$/.test(label) || label.includes('.')) return 'dns-malformed';
    labels.push(label.toLowerCase());
    at += length;
  }
  if (at + 4 > bytes.length) return 'dns-malformed';
  return {
    id: view.getUint16(0),
    recursionDesired: (flags & Flag.recursionDesired) !== 0,
    name: labels.join('.'),
    type: view.getUint16(at),
    class: view.getUint16(at + 2),
    question: bytes.subarray(HEADER_BYTES, at + 4),
  };
}

export function serializeDnsQuery(id: number, name: string, type: number): Uint8Array {
  const labels = name === '' ? [] : name.split('.');
  const bytes = new Uint8Array(HEADER_BYTES + labels.reduce((sum, label) => sum + label.length + 1, 1) + 4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, id);
  view.setUint16(2, Flag.recursionDesired);
  view.setUint16(4, 1);
  let at = HEADER_BYTES;
  for (const label of labels) {
    bytes[at++] = label.length;
    for (let index = 0; index < label.length; index++) bytes[at++] = label.charCodeAt(index);
  }
  view.setUint16(at + 1, type);
  view.setUint16(at + 3, DnsClass.internet);
  return bytes;
}

export interface DnsAnswer {
  readonly code: number;
  /** The name belongs to this LAN, and we are its authority. */
  readonly authoritative: boolean;
  readonly addresses: readonly number[];
  readonly ttlSeconds: number;
}

export function serializeDnsAnswer(query: DnsQuery, answer: DnsAnswer): Uint8Array {
  const addresses = answer.addresses.slice(0, MAX_ANSWERS);
  const bytes = new Uint8Array(HEADER_BYTES + query.question.length + 16 * addresses.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, query.id);
  view.setUint16(
    2,
    Flag.response |
      Flag.recursionAvailable |
      (query.recursionDesired ? Flag.recursionDesired : 0) |
      (answer.authoritative ? Flag.authoritative : 0) |
      answer.code,
  );
  view.setUint16(4, 1);
  view.setUint16(6, addresses.length);
  bytes.set(query.question, HEADER_BYTES);
  let at = HEADER_BYTES + query.question.length;
  for (const address of addresses) {
    view.setUint16(at, NAME_POINTER);
    view.setUint16(at + 2, DnsType.a);
    view.setUint16(at + 4, DnsClass.internet);
    view.setUint32(at + 6, answer.ttlSeconds);
    view.setUint16(at + 10, 4);
    view.setUint32(at + 12, address);
    at += 16;
  }
  return bytes;
}

/** Code and addresses of an answer to a query of ours, for tests. Null if it is none. */
export function parseDnsAnswer(bytes: Uint8Array, query: Uint8Array): { readonly code: number; readonly addresses: number[] } | null {
  if (bytes.length < query.length) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if ((view.getUint16(2) & Flag.response) === 0) return null;
  const addresses: number[] = [];
  for (let at = query.length; at + 16 <= bytes.length; at += 16) addresses.push(view.getUint32(at + 12));
  return { code: view.getUint16(2) & 15, addresses };
}
