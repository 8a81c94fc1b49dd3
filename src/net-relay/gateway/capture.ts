/**
 * A capture of a room's frames as a pcap file, which Wireshark and tcpdump open.
 *
 *   file   := magic:u32=0xa1b2c3d4 major:u16=2 minor:u16=4 zone:u32=0 sigfigs:u32=0 snaplen:u32 linktype:u32=1 record*
 *   record := seconds:u32 microseconds:u32 captured:u32 original:u32 frame
 *
 * Big-endian throughout, as the magic says. Anyone who may read a capture reads everything the guests send unencrypted.
 */
import type { Disposable } from '../../shared/disposable.ts';
import { MAX_FRAME_BYTES } from '../protocol/relay-protocol.ts';
import type { Station } from '../lan/station.ts';

const PCAP_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const LINKTYPE_ETHERNET = 1;
/** About 1 s of a download at full speed, or hours of an idle room. */
const CAPTURE_BYTES = 32 * 1024 * 1024;
/** Many rooms are quiet, and the first access to memory costs a millisecond per MiB. */
const SEGMENT_BYTES = 256 * 1024;

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
  writeRecord(bytes, new DataView(bytes.buffer), 0, frame, at);
  return bytes;
}

function writeRecord(bytes: Uint8Array, view: DataView, to: number, frame: Uint8Array, at: number): void {
  const microseconds = Math.round(at * 1000);
  view.setUint32(to, Math.floor(microseconds / 1_000_000));
  view.setUint32(to + 4, microseconds % 1_000_000);
  view.setUint32(to + 8, frame.length);
  view.setUint32(to + 12, frame.length);
  bytes.set(frame, to + RECORD_HEADER_BYTES);
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
  /** Memory for frames; the oldest are dropped first. Default CAPTURE_BYTES. */
  readonly bytes?: number;
  /** The unit in which memory is allocated and freed. Default SEGMENT_BYTES. */
  readonly segmentBytes?: number;
  /** Called with every record as it is made, to stream a capture that no memory bounds. */
  readonly onRecord?: (record: Uint8Array) => void;
}

/** A snapshot of a capture: a pcap file in pieces, which do not change until this is disposed. */
export interface CaptureFile extends Disposable {
  /** The sum of all pieces. */
  readonly bytes: number;
  readonly pieces: readonly Uint8Array[];
}

/** Part of a capture's memory, filled from its start with whole pcap records. */
class Segment {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  filled = 0;
  frames = 0;
  /** How many files use this segment. */
  files = 0;
  /** A resizable buffer is mapped, never malloc'ed: malloc keeps the size of a freed large block for good (glibc's threshold for mapping grows with it). */
  private readonly memory: ArrayBuffer;

  constructor(bytes: number) {
    this.memory = new ArrayBuffer(bytes, { maxByteLength: bytes });
    this.bytes = new Uint8Array(this.memory);
    this.view = new DataView(this.memory);
  }

  clear(): void {
    this.filled = 0;
    this.frames = 0;
  }

  /** Frees the memory now, not at the engine's next garbage collection. */
  free(): void {
    this.memory.resize(0);
  }
}

/**
 * Keeps the last frames of a room. Plug it into the switch as a listener (`{ tap: 'copy' }`); it never sends. Frames
 * are stored as pcap records in segments, so that many small frames cost no more than their own size, and a file needs
 * no copy of them.
 */
export class Capture implements Station, Disposable {
  private readonly options: CaptureOptions;
  private readonly segmentBytes: number;
  private readonly limit: number;
  /** Oldest first; none is empty. */
  private segments: Segment[] = [];
  private lost = 0;

  constructor(options: CaptureOptions) {
    const { bytes = CAPTURE_BYTES, segmentBytes = SEGMENT_BYTES } = options;
    this.options = options;
    this.segmentBytes = segmentBytes;
    this.limit = Math.max(1, Math.floor(bytes / segmentBytes));
  }

  receive(frame: Uint8Array): void {
    const at = this.options.wallClock();
    this.options.onRecord?.(pcapRecord(frame, at));
    const length = RECORD_HEADER_BYTES + frame.length;
    if (length > this.segmentBytes) {
      this.lost++;
      return;
    }
    let segment = this.segments.at(-1);
    if (segment === undefined || segment.filled + length > this.segmentBytes) {
      segment = this.nextSegment();
      this.segments.push(segment);
    }
    writeRecord(segment.bytes, segment.view, segment.filled, frame, at);
    segment.filled += length;
    segment.frames++;
  }

  /** Frames held, and frames that were dropped to make room for later ones. */
  get frames(): { readonly held: number; readonly lost: number } {
    return { held: this.segments.reduce((sum, { frames }) => sum + frames, 0), lost: this.lost };
  }

  /** The memory it uses now, without what only files still hold. */
  get memoryBytes(): number {
    return this.segments.length * this.segmentBytes;
  }

  /** A file of everything held now. Until the file is disposed, it keeps its memory, at most as much as the capture's own, whatever frames arrive later. */
  toPcap(): CaptureFile {
    const held = [...this.segments];
    for (const segment of held) segment.files++;
    const pieces = [pcapHeader(), ...held.map(({ bytes, filled }) => bytes.subarray(0, filled))];
    return {
      bytes: pieces.reduce((sum, { length }) => sum + length, 0),
      pieces,
      dispose: () => {
        const unused = held.splice(0);
        for (const segment of unused) segment.files--;
        void free(unused.filter((segment) => segment.files === 0 && !this.segments.includes(segment)));
      },
    };
  }

  /** Forgets the frames. Memory that a file still uses is freed with the file. */
  dispose(): void {
    void free(this.segments.splice(0).filter(({ files }) => files === 0));
  }

  /** Reuses the oldest segment's memory if there may be no more segments. */
  private nextSegment(): Segment {
    if (this.segments.length < this.limit) return new Segment(this.segmentBytes);
    const oldest = this.segments.shift();
    this.lost += oldest?.frames ?? 0;
    if (oldest === undefined || oldest.files > 0) return new Segment(this.segmentBytes);
    oldest.clear();
    return oldest;
  }
}

/** Frees segments that no capture and no file uses: one per turn, because each takes a third of a millisecond. */
async function free(segments: readonly Segment[]): Promise<void> {
  for (const segment of segments) {
    segment.free();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
