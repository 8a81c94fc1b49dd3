/**
 * The incremental digest of a migration (rule MG20): both sides keep the hash of every page that was sent or applied,
 * and one 64-bit value that combines them in any order. Equal values mean that the target holds what the source sent;
 * neither side has to scan memory during the pause.
 */
import { Bitmap } from '../shared/bitmap.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import type { PageHash, PageSpace } from './ports.ts';
import { totalPages } from './ports.ts';

export class PageDigest {
  private readonly hashes: BigUint64Array;
  private readonly halves: Uint32Array;
  private readonly known: Bitmap;
  private readonly scratch = new BigUint64Array(1);
  private readonly scratchHalves = new Uint32Array(this.scratch.buffer);
  private first = 0;
  private second = 0;

  constructor(pages: number) {
    this.hashes = new BigUint64Array(pages);
    this.halves = new Uint32Array(this.hashes.buffer);
    this.known = new Bitmap(pages);
  }

  /** Records the hash of the page's content. Returns false if the page was already known with this hash. */
  set(page: number, hash: bigint): boolean {
    this.scratch[0] = hash;
    if (this.known.has(page)) {
      if (this.halves[2 * page] === this.scratchHalves[0] && this.halves[2 * page + 1] === this.scratchHalves[1]) return false;
      this.toggle(page);
    }
    this.known.add(page);
    this.hashes[page] = hash;
    this.toggle(page);
    return true;
  }

  has(page: number): boolean {
    return this.known.has(page);
  }

  /** The page's content is unknown again (it was sent over a link that died). */
  forget(page: number): void {
    if (!this.known.has(page)) return;
    this.toggle(page);
    this.known.delete(page);
  }

  /** The combination of all known pages, 16 hex digits. */
  value(): string {
    return (this.first >>> 0).toString(16).padStart(8, '0') + (this.second >>> 0).toString(16).padStart(8, '0');
  }

  /** Adds the page to the combination or takes it out: exclusive-or is its own inverse. */
  private toggle(page: number): void {
    const low = this.halves[2 * page] ?? 0;
    const high = this.halves[2 * page + 1] ?? 0;
    const one = mix(low ^ mix(page + 1));
    this.first ^= one;
    this.second ^= mix(high ^ one ^ 0x9e3779b9);
  }
}

/** The finalizer of MurmurHash3: every bit of the input changes every bit of the output. */
function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return value ^ (value >>> 16);
}

/** Pages hashed in one go by scanMemory. */
const SCAN_PAGES = 256;

/** The part of SourceVm and TargetVm that scanMemory needs. */
export interface ReadableMemory {
  readonly space: PageSpace;
  readPages(pages: Uint32Array, into: Uint8Array): void;
  differsFromBase(): Bitmap;
}

/**
 * Hashes all of RAM and video memory and every block of the overlay (`verify: true`), whatever was sent before; calls
 * `breathe` between steps so that the thread can handle messages. Returns 16 hex digits.
 */
export async function scanMemory(vm: ReadableMemory, pageHash: PageHash, breathe: () => Promise<void>): Promise<string> {
  const { space } = vm;
  const always = space.ramPages + space.videoPages;
  const digest = new PageDigest(totalPages(space));
  const overlay = [...vm.differsFromBase()].filter((page) => page >= always);
  const buffer = new Uint8Array(SCAN_PAGES * PAGE_SIZE);
  const wanted = always + overlay.length;
  for (let start = 0; start < wanted; start += SCAN_PAGES) {
    const pages = Uint32Array.from({ length: Math.min(SCAN_PAGES, wanted - start) }, (_, index) => {
      const at = start + index;
      return at < always ? at : (overlay[at - always] ?? 0);
    });
    vm.readPages(pages, buffer.subarray(0, pages.length * PAGE_SIZE));
    pages.forEach((page, index) => digest.set(page, pageHash(buffer.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE))));
    await breathe();
  }
  return digest.value();
}
