/**
 * The guest's disk: an immutable base image, and over it the blocks the guest has written, kept in memory. It is handed
 * to v86 as `hda` and answers the calls v86's IDE controller makes. The overlay moves with the VM, block by block.
 *
 * The guest sees one disk: a read returns the disk's content at one moment between its start and its end, including all
 * writes called before that moment. A partial write to a block that is not in the overlay is visible at once. The rest
 * of the block is fetched from the base, and until it arrives the block is not part of the overlay.
 */
import { Bitmap } from '../shared/bitmap.ts';
import type { Disposable } from '../shared/disposable.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import type { Clock } from '../shared/clock.ts';
import { BaseReader, byteRanges, type BaseReaderOptions } from './base-reader.ts';
import type { BaseDisk } from './machine.ts';
import { MachineError } from './machine-error.ts';
import { systemClock } from '../shared/system-clock.ts';

/** Unit of the overlay. */
const BLOCK_BYTES = PAGE_SIZE;
/** Unit of the IDE controller's writes. */
export const SECTOR_BYTES = 512;
const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES;
const ALL_SECTORS = (1 << SECTORS_PER_BLOCK) - 1;
/** How long a switchover waits for the disk before it is given up. */
const DRAIN_LIMIT_MS = 5000;

export interface OverlayDiskOptions extends Partial<BaseReaderOptions> {
  readonly drainLimitMs?: number;
}

/** A block of which only some sectors were written; the others are on their way from the base. */
interface PartialBlock {
  readonly bytes: Uint8Array;
  /** Bit i: sector i was written. */
  sectors: number;
  readonly fill: Disposable;
}

interface PendingRead {
  readonly offset: number;
  readonly length: number;
  /** Base chunks that have arrived for this read; the cache may have dropped them. */
  readonly chunks: Map<number, Uint8Array>;
  readonly waits: Map<number, Disposable>;
}

export class OverlayDisk implements Disposable {
  readonly byteLength: number;
  readonly blocks: number;
  /** Set by v86 before it calls load(). */
  onload: ((event: object) => void) | undefined = undefined;
  onprogress: ((event: object) => void) | undefined = undefined;
  private readonly reader: BaseReader;
  private readonly clock: Clock;
  private readonly drainLimitMs: number;
  private readonly overlay: (Uint8Array | undefined)[];
  private readonly present: Bitmap;
  private dirty: Bitmap;
  private readonly partial = new Map<number, PartialBlock>();
  private readonly reads = new Set<PendingRead>();
  private readonly drains = new Set<(error: MachineError | null) => void>();

  /** `base.byteLength` must be a multiple of 4096. The base is not disposed with the overlay. */
  constructor(base: BaseDisk, options: OverlayDiskOptions = {}) {
    if (base.byteLength <= 0 || base.byteLength % BLOCK_BYTES !== 0) {
      throw new MachineError(
        'disk-out-of-bounds',
        `A disk image has a multiple of ${BLOCK_BYTES} bytes; this one has ${base.byteLength}. Build the guest again.`,
      );
    }
    this.clock = options.clock ?? systemClock;
    this.drainLimitMs = options.drainLimitMs ?? DRAIN_LIMIT_MS;
    this.reader = new BaseReader(base, { ...options, clock: this.clock });
    this.byteLength = base.byteLength;
    this.blocks = base.byteLength / BLOCK_BYTES;
    this.overlay = new Array<Uint8Array | undefined>(this.blocks).fill(undefined);
    this.present = new Bitmap(this.blocks);
    this.dirty = new Bitmap(this.blocks);
  }

  /** `listener` gets a sentence when a base read fails and is retried while the guest waits. */
  onTrouble(listener: (sentence: string) => void): Disposable {
    return this.reader.onTrouble(listener);
  }

  // What v86's IDE controller calls.

  load(): void {
    this.onload?.({});
  }

  /** Delivers `length` bytes at `offset` to `done`: at once if they are in memory, else later. Never wrong data. */
  get(offset: number, length: number, done: (data: Uint8Array) => void, options?: { readonly signal?: AbortSignal }): void {
    this.checkRange(offset, length);
    const missing = this.missingChunks(offset, length);
    this.noteUse(offset, length);
    if (missing.length === 0) {
      done(this.assemble(offset, length, null));
      return;
    }
    const read: PendingRead = { offset, length, chunks: new Map(), waits: new Map() };
    // Chunks that are in memory now may be gone when the last one arrives.
    for (let index = this.chunkOf(offset); index <= this.chunkOf(offset + length - 1); index++) {
      const cached = this.reader.cached(index);
      if (cached !== undefined) read.chunks.set(index, cached);
    }
    this.reads.add(read);
    for (const index of missing) {
      read.waits.set(
        index,
        this.reader.want(index, (chunk) => {
          read.waits.delete(index);
          read.chunks.set(index, chunk);
          if (read.waits.size > 0) return;
          this.reads.delete(read);
          try {
            done(this.assemble(offset, length, read.chunks));
          } finally {
            this.settle();
          }
        }),
      );
    }
    options?.signal?.addEventListener('abort', () => this.drop(read), { once: true });
  }

  get_and_cache(offset: number, length: number, done: (data: Uint8Array) => void, options?: { readonly signal?: AbortSignal }): void {
    this.get(offset, length, done, options);
  }

  get_from_cache(offset: number, length: number): Uint8Array | undefined {
    this.checkRange(offset, length);
    return this.missingChunks(offset, length).length === 0 ? this.assemble(offset, length, null) : undefined;
  }

  /** Writes whole sectors. The data is copied before this returns, and `done` is called before it returns. */
  set(offset: number, data: Uint8Array, done: () => void): void {
    this.checkRange(offset, data.length);
    if (offset % SECTOR_BYTES !== 0 || data.length % SECTOR_BYTES !== 0) {
      throw new MachineError('disk-out-of-bounds', `The disk is written in sectors of ${SECTOR_BYTES} bytes, not ${data.length} bytes at ${offset}.`);
    }
    let at = 0;
    while (at < data.length) {
      const index = Math.floor((offset + at) / BLOCK_BYTES);
      const within = (offset + at) % BLOCK_BYTES;
      const length = Math.min(BLOCK_BYTES - within, data.length - at);
      this.writeWithin(index, within, data.subarray(at, at + length));
      at += length;
    }
    done();
    this.settle();
  }

  get_buffer(done: (buffer?: ArrayBuffer) => void): void {
    done();
  }

  /** The overlay travels as blocks, not in v86's device state. */
  get_state(): unknown[] {
    return [];
  }

  set_state(): void {
    // See get_state.
  }

  // What the migration calls.

  /** Blocks that changed since the last call. Blocks waiting for their remainder are reported once they have it. */
  takeDirty(): Bitmap {
    const taken = this.dirty;
    this.dirty = new Bitmap(this.blocks);
    return taken;
  }

  /** Blocks of the overlay. */
  written(): Bitmap {
    return this.present.copy();
  }

  /** Copies a block of the overlay to `into` (4096 bytes). */
  readBlock(index: number, into: Uint8Array): void {
    const block = this.overlay[index];
    if (block === undefined) {
      throw new MachineError('disk-block-absent', `Block ${index} of the disk was never written, so it is not in the overlay; the base image has it.`);
    }
    into.set(block);
  }

  /** Takes over a block (4096 bytes, copied) from another host. It is not reported as dirty. */
  writeBlock(index: number, data: Uint8Array): void {
    this.checkRange(index * BLOCK_BYTES, BLOCK_BYTES);
    this.forgetPartial(index);
    const block = this.overlay[index];
    if (block === undefined) this.overlay[index] = data.slice(0, BLOCK_BYTES);
    else block.set(data.subarray(0, BLOCK_BYTES));
    this.present.add(index);
    this.settle();
  }

  /** Reads and writes of the device that still wait for the base image. */
  get inFlight(): number {
    return this.reads.size + this.partial.size;
  }

  /**
   * Resolves once nothing is in flight and every completed read was delivered to the device. Rejects with MachineError
   * 'disk-not-drained' after the limit, naming the bytes that are missing.
   */
  drain(): Promise<void> {
    if (this.inFlight === 0) return Promise.resolve();
    // The guest is stopped while this waits, so failed reads are retried now, not at their next scheduled attempt.
    this.reader.retryNow();
    return new Promise((resolve, reject) => {
      const end = (error: MachineError | null): void => {
        this.drains.delete(end);
        limit.dispose();
        if (error === null) resolve();
        else reject(error);
      };
      const limit = this.clock.setTimeout(() => {
        const why = this.reader.lastFailure;
        const cause = why === null ? "the disk's server is slow" : why.replace(/[.\s]+$/, '');
        end(
          new MachineError(
            'disk-not-drained',
            `The guest still waits for ${this.describeWaits()} of its disk after ${this.drainLimitMs / 1000} s: ${cause}. Try again when the server with the disk image answers.`,
          ),
        );
      }, this.drainLimitMs);
      this.drains.add(end);
    });
  }

  dispose(): void {
    for (const read of this.reads) for (const wait of read.waits.values()) wait.dispose();
    this.reads.clear();
    for (const block of this.partial.values()) block.fill.dispose();
    this.partial.clear();
    this.reader.dispose();
    this.overlay.fill(undefined);
    for (const end of [...this.drains]) end(new MachineError('disk-closed', 'The machine was discarded while its disk was being drained.'));
  }

  private chunkOf(offset: number): number {
    return Math.floor(offset / this.reader.chunkBytes);
  }

  private checkRange(offset: number, length: number): void {
    if (offset < 0 || length <= 0 || offset + length > this.byteLength) {
      throw new MachineError('disk-out-of-bounds', `The disk has ${this.byteLength} bytes; ${length} bytes at ${offset} are not on it.`);
    }
  }

  /** Chunks of the base that are needed for this range and not in memory. */
  private missingChunks(offset: number, length: number): number[] {
    const missing: number[] = [];
    this.eachBasePart(offset, length, (start) => {
      const index = this.chunkOf(start);
      if (missing.at(-1) !== index && this.reader.cached(index) === undefined) missing.push(index);
    });
    return missing;
  }

  /** Calls `visit` with every part of the range that only the base has; no part crosses a block or a chunk. */
  private eachBasePart(offset: number, length: number, visit: (start: number, length: number) => void): void {
    const end = offset + length;
    let at = offset;
    while (at < end) {
      const index = Math.floor(at / BLOCK_BYTES);
      const partial = this.partial.get(index);
      const unit = partial === undefined ? BLOCK_BYTES : SECTOR_BYTES;
      const chunkEnd = (this.chunkOf(at) + 1) * this.reader.chunkBytes;
      const next = Math.min(end, (Math.floor(at / unit) + 1) * unit, chunkEnd);
      const sector = Math.floor((at % BLOCK_BYTES) / SECTOR_BYTES);
      const here = this.overlay[index] !== undefined || (partial !== undefined && (partial.sectors & (1 << sector)) !== 0);
      if (!here) visit(at, next - at);
      at = next;
    }
  }

  private assemble(offset: number, length: number, chunks: Map<number, Uint8Array> | null): Uint8Array {
    const data = new Uint8Array(length);
    const end = offset + length;
    for (let at = offset; at < end;) {
      const index = Math.floor(at / BLOCK_BYTES);
      const within = at % BLOCK_BYTES;
      const next = Math.min(end, at - within + BLOCK_BYTES);
      const block = this.overlay[index] ?? this.partial.get(index)?.bytes;
      if (block !== undefined) data.set(block.subarray(within, within + next - at), at - offset);
      at = next;
    }
    this.eachBasePart(offset, length, (start, bytes) => {
      const index = this.chunkOf(start);
      const chunk = chunks?.get(index) ?? this.reader.cached(index);
      if (chunk === undefined) throw new Error(`Chunk ${index} of the base image is missing although it was read`);
      const within = start - index * this.reader.chunkBytes;
      data.set(chunk.subarray(within, within + bytes), start - offset);
    });
    return data;
  }

  private noteUse(offset: number, length: number): void {
    for (let index = this.chunkOf(offset); index <= this.chunkOf(offset + length - 1); index++) this.reader.used(index);
  }

  private writeWithin(index: number, within: number, data: Uint8Array): void {
    const block = this.overlay[index];
    if (block !== undefined) {
      block.set(data, within);
      this.dirty.add(index);
      return;
    }
    if (data.length === BLOCK_BYTES) {
      this.complete(index, data.slice());
      return;
    }
    const known = this.partial.get(index);
    const bytes = known?.bytes ?? new Uint8Array(BLOCK_BYTES);
    bytes.set(data, within);
    const first = within / SECTOR_BYTES;
    const sectors = (known?.sectors ?? 0) | (((1 << (data.length / SECTOR_BYTES)) - 1) << first);
    if (known !== undefined) {
      known.sectors = sectors;
      if (sectors === ALL_SECTORS) this.complete(index, bytes);
      return;
    }
    this.fetchRemainder(index, bytes, sectors);
  }

  private fetchRemainder(index: number, bytes: Uint8Array, sectors: number): void {
    const first = this.chunkOf(index * BLOCK_BYTES);
    const last = this.chunkOf((index + 1) * BLOCK_BYTES - 1);
    const chunks = new Map<number, Uint8Array>();
    const waits = new Map<number, Disposable>();
    const fill = { dispose: () => waits.forEach((wait) => wait.dispose()) };
    const partial: PartialBlock = { bytes, sectors, fill };
    this.partial.set(index, partial);
    const finish = (): void => {
      this.eachBasePart(index * BLOCK_BYTES, BLOCK_BYTES, (start, length) => {
        const chunk = chunks.get(this.chunkOf(start));
        if (chunk === undefined) return;
        const from = start % this.reader.chunkBytes;
        bytes.set(chunk.subarray(from, from + length), start % BLOCK_BYTES);
      });
      this.complete(index, bytes);
    };
    for (let chunk = first; chunk <= last; chunk++) {
      const cached = this.reader.cached(chunk);
      if (cached !== undefined) chunks.set(chunk, cached);
      else {
        waits.set(
          chunk,
          this.reader.want(chunk, (data) => {
            waits.delete(chunk);
            chunks.set(chunk, data);
            if (waits.size > 0 || this.partial.get(index) !== partial) return;
            finish();
            this.settle();
          }),
        );
      }
    }
    if (waits.size === 0) finish();
  }

  private complete(index: number, bytes: Uint8Array): void {
    this.forgetPartial(index);
    this.overlay[index] = bytes;
    this.present.add(index);
    this.dirty.add(index);
  }

  private forgetPartial(index: number): void {
    this.partial.get(index)?.fill.dispose();
    this.partial.delete(index);
  }

  private drop(read: PendingRead): void {
    if (!this.reads.delete(read)) return;
    for (const wait of read.waits.values()) wait.dispose();
    this.settle();
  }

  private settle(): void {
    if (this.inFlight > 0) return;
    for (const end of [...this.drains]) end(null);
  }

  private describeWaits(): string {
    const chunks = new Set<number>();
    for (const read of this.reads) for (const index of read.waits.keys()) chunks.add(index);
    for (const index of this.partial.keys()) chunks.add(this.chunkOf(index * BLOCK_BYTES));
    return byteRanges(chunks, this.reader.chunkBytes, this.byteLength);
  }
}
