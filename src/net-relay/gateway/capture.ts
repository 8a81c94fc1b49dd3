/**
 * A capture of a room's frames as a pcap file, which Wireshark and tcpdump open.
 *
 *   file   := magic:u32=0xa1b2c3d4 major:u16=2 minor:u16=4 zone:u32=0 sigfigs:u32=0 snaplen:u32 linktype:u32=1 record*
 *   record := seconds:u32 microseconds:u32 captured:u32 original:u32 frame
 *
 * Big-endian throughout; the magic tells. Whoever may read a capture reads everything the guests say unencrypted.
 */
import type { Disposable } from '../../shared/disposable.ts';
import { MAX_FRAME_BYTES } from '../protocol/relay-protocol.ts';
import type { Station } from '../lan/station.ts';

const PCAP_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const LINKTYPE_ETHERNET = 1;
/** About 1 s of a download at full speed, or hours of an idle room. */
const CAPTURE_BYTES = 32 * 1024 * 1024;
/** Many rooms are quiet. */
const FIRST_BYTES = 256 * 1024;
/** Of a file, copied in one go. */
const PIECE_BYTES = 512 * 1024;

function pcapHeader(): Uint8Array {
  const bytes = new Uint8Array(PCAP_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xa1b2c3d4);
  view.setUint16(4, 2);
  view.setUint16(6, 4);
  view.setUint32(16, MAX_FRAME_BYTES);
  view.setUint32(20, LINKTYPE_ETHERNET);
  return bytes;
}

/** `at`: milliseconds since 1970. */
export function pcapRecord(frame: Uint8Array, at: number): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + frame.length);
  const view = new DataView(bytes.buffer);
  const microseconds = Math.round(at * 1000);
  view.setUint32(0, Math.floor(microseconds / 1_000_000));
  view.setUint32(4, microseconds % 1_000_000);
  view.setUint32(8, frame.length);
  view.setUint32(12, frame.length);
  bytes.set(frame, RECORD_HEADER_BYTES);
  return bytes;
}

export interface CapturedFrame {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly frame: Uint8Array;
}

/** The frames of a pcap file as this module writes it; null if it is not one. */
export function parsePcap(bytes: Uint8Array): CapturedFrame[] | null {
  if (bytes.length < PCAP_HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== 0xa1b2c3d4 || view.getUint32(20) !== LINKTYPE_ETHERNET) return null;
  const frames: CapturedFrame[] = [];
  let at = PCAP_HEADER_BYTES;
  while (at < bytes.length) {
    if (at + RECORD_HEADER_BYTES > bytes.length) return null;
    const length = view.getUint32(at + 8);
    if (at + RECORD_HEADER_BYTES + length > bytes.length) return null;
    frames.push({
      at: view.getUint32(at) * 1000 + view.getUint32(at + 4) / 1000,
      frame: bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length),
    });
    at += RECORD_HEADER_BYTES + length;
  }
  return frames;
}

export interface CaptureOptions {
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Memory for frames; the oldest go first. Default CAPTURE_BYTES. */
  readonly bytes?: number;
  /** Called with every record as it is made, to stream a capture that no memory bounds. */
  readonly onRecord?: (record: Uint8Array) => void;
}

/**
 * Keeps the last frames of a room. Plug it into the switch as a listener (`{ tap: 'copy' }`); it never sends. Frames lie
 * in one block of memory as pcap records, so that many small ones cost no more than they are.
 */
export class Capture implements Station, Disposable {
  private readonly options: CaptureOptions;
  private readonly limit: number;
  private readonly memory: ArrayBuffer;
  /** All of `memory`, however large that is. */
  private readonly block: Uint8Array;
  /** Where each record starts and ends in the block, oldest first; `first` of them are gone. */
  private records: { readonly start: number; readonly end: number }[] = [];
  private first = 0;
  private end = 0;
  private lost = 0;
  /** Records that were held once and are not any more. */
  private gone = 0;

  constructor(options: CaptureOptions) {
    this.options = options;
    this.limit = options.bytes ?? CAPTURE_BYTES;
    this.memory = mapped(Math.min(this.limit, FIRST_BYTES), this.limit);
    this.block = new Uint8Array(this.memory);
  }

  receive(frame: Uint8Array): void {
    const record = pcapRecord(frame, this.options.wallClock());
    this.options.onRecord?.(record);
    if (record.length > this.limit) {
      this.lost++;
      return;
    }
    this.growTo(this.end + record.length);
    if (this.end + record.length > this.block.length) {
      // What lies behind the end is older than anything at the start.
      this.forget(this.end, this.block.length);
      this.end = 0;
    }
    this.forget(this.end, this.end + record.length);
    this.block.set(record, this.end);
    this.records.push({ start: this.end, end: this.end + record.length });
    this.end += record.length;
  }

  /** Frames held, and frames that made room for later ones. */
  get frames(): { readonly held: number; readonly lost: number } {
    return { held: this.records.length - this.first, lost: this.lost };
  }

  /** What it takes now. */
  get memoryBytes(): number {
    return this.memory.byteLength;
  }

  /**
   * Everything held now, as a file, or as much of it as is still held when its turn comes. Copied in pieces, and between
   * them `rest`: memory that nobody has touched yet takes a millisecond for each MiB.
   */
  async toPcap(rest: () => Promise<void> = nextTurn): Promise<Uint8Array> {
    const held = this.records.slice(this.first);
    const bytes = PCAP_HEADER_BYTES + held.reduce((sum, { start, end }) => sum + end - start, 0);
    const file = new Uint8Array(mapped(bytes, bytes));
    file.set(pcapHeader());
    const first = this.gone;
    let at = PCAP_HEADER_BYTES;
    let restAt = at + PIECE_BYTES;
    for (const [index, { start, end }] of held.entries()) {
      // Newer ones have taken its place meanwhile.
      if (first + index < this.gone) continue;
      file.set(this.block.subarray(start, end), at);
      at += end - start;
      if (at < restAt) continue;
      await rest();
      restAt = at + PIECE_BYTES;
    }
    return file.subarray(0, at);
  }

  /** Forgets the frames and gives their memory back at once, not when the engine next looks for garbage. */
  dispose(): void {
    this.gone += this.records.length - this.first;
    this.records = [];
    this.first = 0;
    this.end = 0;
    this.memory.resize(0);
  }

  private growTo(bytes: number): void {
    if (bytes <= this.block.length || bytes > this.limit) return;
    this.memory.resize(Math.min(this.limit, Math.max(bytes, this.block.length * 2)));
  }

  /** Drops the oldest records as far as they lie in [from, to). */
  private forget(from: number, to: number): void {
    for (;;) {
      const oldest = this.records[this.first];
      if (oldest === undefined || oldest.start >= to || oldest.end <= from) break;
      this.first++;
      this.gone++;
      this.lost++;
    }
    if (this.first > 1024 && this.first * 2 > this.records.length) {
      this.records = this.records.slice(this.first);
      this.first = 0;
    }
  }
}

/**
 * Memory that goes back to the system with the buffer. A resizable buffer is mapped, and never malloc's: a large block
 * that was freed there once makes it keep as much for good (the threshold from which glibc maps blocks grows with them).
 */
function mapped(bytes: number, maxByteLength: number): ArrayBuffer {
  return new ArrayBuffer(bytes, { maxByteLength });
}

/** Everything else has its turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
