/**
 * Reads the immutable base image in chunks. It caches the last ones in memory, reads ahead for a sequential reader, and
 * retries failed reads as long as a caller waits for them. It never returns wrong or missing data.
 */
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import type { Clock } from '../shared/clock.ts';
import type { BaseDisk } from './machine.ts';

/** Chunk size when the base image names none. */
const DEFAULT_CHUNK_BYTES = 128 * 1024;
/** Memory for chunks of the base image, per machine. The guest has a page cache of its own, so this serves read-ahead. */
const CHUNK_CACHE_BYTES = 16 * 1024 * 1024;
/** Longest read-ahead of a sequential reader; reached by doubling, so that a scattered reader pays little. */
const READ_AHEAD_BYTES = 1024 * 1024;
/** Waits between attempts to read what failed; the last one repeats. */
const RETRY_MS = [250, 500, 1000, 2000, 4000] as const;

export interface BaseReaderOptions {
  readonly clock: Clock;
  readonly cacheBytes?: number;
  readonly readAheadBytes?: number;
}

/** A chunk that at least one caller waits for. */
interface Wanted {
  readonly index: number;
  /** When the first caller began to wait. */
  readonly since: number;
  readonly receivers: Set<(chunk: Uint8Array) => void>;
}

export class BaseReader implements Disposable {
  readonly chunkBytes: number;
  readonly byteLength: number;
  private readonly base: BaseDisk;
  private readonly clock: Clock;
  private readonly cachedChunks: number;
  private readonly mostReadAhead: number;
  /** Least recently used first. */
  private readonly cache = new Map<number, Uint8Array>();
  private readonly wanted = new Map<number, Wanted>();
  /** Chunks that are being read from the base disk, wanted or read ahead. */
  private readonly reading = new Set<number>();
  /** Wanted chunks whose last attempt failed. */
  private readonly failed = new Set<number>();
  private failure: string | null = null;
  private attempts = 0;
  private retry: Disposable | null = null;
  private lastChunk = -1;
  private readAhead = 0;
  private closed = false;
  private readonly trouble = new Emitter<string>();

  constructor(base: BaseDisk, options: BaseReaderOptions) {
    this.base = base;
    this.byteLength = base.byteLength;
    this.chunkBytes = base.chunkBytes ?? DEFAULT_CHUNK_BYTES;
    this.clock = options.clock;
    this.cachedChunks = Math.max(1, Math.floor((options.cacheBytes ?? CHUNK_CACHE_BYTES) / this.chunkBytes));
    this.mostReadAhead = Math.min(Math.floor((options.readAheadBytes ?? READ_AHEAD_BYTES) / this.chunkBytes), Math.floor(this.cachedChunks / 2));
  }

  /** `listener` gets a sentence when a read fails and is retried. */
  onTrouble(listener: (sentence: string) => void): Disposable {
    return this.trouble.on(listener);
  }

  /** The chunk, if it is in memory. */
  cached(index: number): Uint8Array | undefined {
    const chunk = this.cache.get(index);
    if (chunk === undefined) return undefined;
    this.cache.delete(index);
    this.cache.set(index, chunk);
    return chunk;
  }

  /** Calls `receiver` once with the chunk, in a later task; until then, dispose the result to stop waiting. */
  want(index: number, receiver: (chunk: Uint8Array) => void): Disposable {
    let entry = this.wanted.get(index);
    if (entry === undefined) {
      entry = { index, since: this.clock.now(), receivers: new Set() };
      this.wanted.set(index, entry);
    }
    const waiting = entry;
    const once = (chunk: Uint8Array): void => receiver(chunk);
    waiting.receivers.add(once);
    // A chunk that failed waits for the next retry, together with all other failed chunks.
    if (!this.failed.has(index)) this.read(index);
    return {
      dispose: () => {
        waiting.receivers.delete(once);
        if (waiting.receivers.size > 0 || this.wanted.get(index) !== waiting) return;
        this.wanted.delete(index);
        this.failed.delete(index);
        if (this.failed.size > 0) return;
        // No caller waits for a failed chunk any more. Whether the base can be read again is not known.
        this.retry?.dispose();
        this.retry = null;
      },
    };
  }

  /** Tells which chunk a reader has just used, so that a sequential reader finds the next ones in memory. */
  used(index: number): void {
    if (index === this.lastChunk) return;
    this.readAhead = index === this.lastChunk + 1 ? Math.min(this.mostReadAhead, Math.max(1, this.readAhead * 2)) : 0;
    this.lastChunk = index;
    const chunks = Math.ceil(this.byteLength / this.chunkBytes);
    const end = Math.min(chunks, index + 1 + this.readAhead);
    for (let ahead = index + 1; ahead < end; ahead++) {
      if (!this.cache.has(ahead) && !this.failed.has(ahead)) this.read(ahead);
    }
  }

  /** Retries all failed chunks at once. */
  retryNow(): void {
    this.retry?.dispose();
    this.retry = null;
    const again = [...this.failed];
    this.failed.clear();
    for (const index of again) this.read(index);
  }

  /** Why the last attempt failed, or null when the base image can be read. */
  get lastFailure(): string | null {
    return this.failure;
  }

  dispose(): void {
    this.closed = true;
    this.retry?.dispose();
    this.retry = null;
    this.wanted.clear();
    this.failed.clear();
    this.cache.clear();
    this.trouble.dispose();
  }

  private read(index: number): void {
    if (this.reading.has(index) || this.closed) return;
    this.reading.add(index);
    const offset = index * this.chunkBytes;
    const length = Math.min(this.chunkBytes, this.byteLength - offset);
    this.base.read(offset, length).then(
      (chunk) => {
        this.reading.delete(index);
        if (chunk.length === length) this.arrived(index, chunk);
        else this.missed(index, `the disk gave ${chunk.length} bytes instead of ${length}`);
      },
      (error: unknown) => {
        this.reading.delete(index);
        this.missed(index, error instanceof Error ? error.message : String(error));
      },
    );
  }

  private arrived(index: number, chunk: Uint8Array): void {
    if (this.closed) return;
    this.cache.delete(index);
    this.cache.set(index, chunk);
    for (const oldest of this.cache.keys()) {
      if (this.cache.size <= this.cachedChunks) break;
      this.cache.delete(oldest);
    }
    this.failed.delete(index);
    if (this.failed.size === 0) this.calm();
    const waiting = this.wanted.get(index);
    if (waiting === undefined) return;
    this.wanted.delete(index);
    // If one device callback throws, the others still get their data.
    let failure: { error: unknown } | null = null;
    for (const receiver of waiting.receivers) {
      try {
        receiver(chunk);
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== null) throw failure.error;
  }

  private missed(index: number, reason: string): void {
    // A failed read-ahead that no caller waits for is ignored.
    if (this.closed || !this.wanted.has(index)) return;
    this.failed.add(index);
    this.failure = reason;
    if (this.retry !== null) return;
    const wait = RETRY_MS[Math.min(this.attempts, RETRY_MS.length - 1)] ?? 0;
    this.attempts++;
    this.retry = this.clock.setTimeout(() => this.retryNow(), wait);
    this.trouble.emit(this.describe(reason, wait));
  }

  private describe(reason: string, wait: number): string {
    const waiting = [...this.wanted.values()];
    const since = Math.min(...waiting.map((each) => each.since));
    const ranges = byteRanges(
      waiting.map((each) => each.index),
      this.chunkBytes,
      this.byteLength,
    );
    const seconds = Math.round((this.clock.now() - since) / 100) / 10;
    const text = reason.replace(/[.\s]+$/, '');
    return `The guest's disk cannot be read: ${text}. The guest has waited for ${ranges} for ${seconds} s; the next attempt is in ${wait / 1000} s.`;
  }

  private calm(): void {
    this.attempts = 0;
    this.retry?.dispose();
    this.retry = null;
    if (this.failure === null) return;
    this.failure = null;
    this.trouble.emit("The guest's disk can be read again.");
  }
}

/** `bytes 0-4095, 8192-12287` of the chunks with these indices; neighbours are joined, a long list is cut. */
export function byteRanges(indices: Iterable<number>, unit: number, byteLength: number): string {
  const MOST_RANGES = 4;
  const ranges: { start: number; end: number }[] = [];
  for (const index of [...new Set(indices)].sort((a, b) => a - b)) {
    const start = index * unit;
    const end = Math.min(start + unit, byteLength);
    const last = ranges.at(-1);
    if (last?.end === start) last.end = end;
    else ranges.push({ start, end });
  }
  const shown = ranges
    .slice(0, MOST_RANGES)
    .map(({ start, end }) => `${start}-${end - 1}`)
    .join(', ');
  return `bytes ${shown}${ranges.length > MOST_RANGES ? ` and ${ranges.length - MOST_RANGES} more ranges` : ''}`;
}
