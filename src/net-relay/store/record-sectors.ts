/**
 * How records lie in a file: in sectors of 512 bytes, the unit that a disk writes whole or not at all. Each sector is a
 * line of text with a checksum of its own; a record takes as many sectors as it needs.
 *
 *   crc32:hex[8] ' ' number:hex[12] ' ' part:hex[3] '/' parts:hex[3] ' ' text, padded with spaces [481] '\n'
 *
 * No byte of it is zero. So a sector is as it was written, or all zero because it was never written, or damaged. That
 * tells a record whose write was cut off by a loss of power from one that was changed later.
 */
import { crc32 } from 'node:zlib';

export const SECTOR_BYTES = 512;
const TEXT_AT = 30;
const TEXT_BYTES = SECTOR_BYTES - TEXT_AT - 1;
const MAX_PARTS = 0xfff;
const SPACE = 0x20;
const NEWLINE = 0x0a;
const HEAD = /^([0-9a-f]{8}) ([0-9a-f]{12}) ([0-9a-f]{3})\/([0-9a-f]{3}) $/;

export interface Sector {
  readonly number: number;
  readonly part: number;
  readonly parts: number;
  readonly text: Uint8Array;
}

export function sectorsFor(text: Uint8Array): number {
  return Math.max(1, Math.ceil(text.length / TEXT_BYTES));
}

/** Throws RangeError if the text is longer than 1.9 MB. */
export function encodeRecord(number: number, text: Uint8Array): Uint8Array {
  const parts = sectorsFor(text);
  if (parts > MAX_PARTS) throw new RangeError(`A record of ${text.length} bytes is too large.`);
  const bytes = new Uint8Array(parts * SECTOR_BYTES).fill(SPACE);
  for (let part = 0; part < parts; part++) {
    const sector = bytes.subarray(part * SECTOR_BYTES, (part + 1) * SECTOR_BYTES);
    sector.set(Buffer.from(`${hex(number, 12)} ${hex(part, 3)}/${hex(parts, 3)} `), 9);
    sector.set(text.subarray(part * TEXT_BYTES, (part + 1) * TEXT_BYTES), TEXT_AT);
    sector[SECTOR_BYTES - 1] = NEWLINE;
    sector.set(Buffer.from(hex(crc32(sector.subarray(8)), 8)), 0);
  }
  return bytes;
}

export function decodeSector(sector: Uint8Array): Sector | 'unwritten' | 'damaged' {
  if (sector.every((byte) => byte === 0)) return 'unwritten';
  const head = HEAD.exec(Buffer.from(sector.subarray(0, TEXT_AT)).toString('latin1'));
  if (head === null || Number.parseInt(head[1] ?? '', 16) !== crc32(sector.subarray(8))) return 'damaged';
  const [number = 0, part = 0, parts = 0] = head.slice(2).map((digits) => Number.parseInt(digits, 16));
  return { number, part, parts, text: sector.subarray(TEXT_AT, SECTOR_BYTES - 1) };
}

export interface Records {
  readonly texts: readonly string[];
  /** Sectors they take. */
  readonly used: number;
  /** After them comes a record whose write was cut off: its beginning, or another part. */
  readonly tornTail: boolean;
}

/** Reads records numbered from `first` on. Names the first sector that cannot be what was written. */
export function decodeRecords(bytes: Uint8Array, first: number): Records | { readonly damagedSector: number } {
  const texts: string[] = [];
  const sectors = bytes.length / SECTOR_BYTES;
  let used = 0;
  for (;;) {
    const record = decodeRecord(bytes, used, first + texts.length);
    if (record === null) break;
    texts.push(record.text);
    used += record.sectors;
  }
  // Behind the last whole record: nothing, or sectors of the one that was being written.
  let tornTail = false;
  let missing = false;
  let parts: number | null = null;
  for (let at = used; at < sectors; at++) {
    const sector = decodeSector(bytes.subarray(at * SECTOR_BYTES, (at + 1) * SECTOR_BYTES));
    if (sector === 'unwritten') {
      missing ||= at - used < (parts ?? 1);
      continue;
    }
    const inPlace =
      sector !== 'damaged' &&
      sector.number === first + texts.length &&
      sector.part === at - used &&
      sector.part < sector.parts &&
      (parts ??= sector.parts) === sector.parts;
    if (!inPlace) return { damagedSector: at };
    tornTail = true;
  }
  return tornTail && !missing ? { damagedSector: used } : { texts, used, tornTail };
}

function decodeRecord(bytes: Uint8Array, at: number, number: number): { readonly text: string; readonly sectors: number } | null {
  const texts: Uint8Array[] = [];
  for (let parts = 1; texts.length < parts;) {
    const from = (at + texts.length) * SECTOR_BYTES;
    if (from >= bytes.length) return null;
    const sector = decodeSector(bytes.subarray(from, from + SECTOR_BYTES));
    if (typeof sector === 'string' || sector.number !== number || sector.part !== texts.length) return null;
    if (texts.length > 0 && sector.parts !== parts) return null;
    parts = sector.parts;
    texts.push(sector.text);
  }
  return { text: Buffer.concat(texts).toString('utf8'), sectors: texts.length };
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
