/**
 * The pages of video memory: first the four VGA planes (text, fonts), then the linear frame buffer. Nothing tracks
 * writes to them, so compare() checks them against a shadow copy.
 */
import { PAGE_SIZE } from '../shared/page.ts';
import type { Bitmap } from '../shared/bitmap.ts';
import type { V86Cpu } from './v86-api.ts';

/** Bytes of v86's VGA planes: four times 64 KiB, kept in JavaScript. */
export const PLANE_BYTES = 256 * 1024;
/** Bytes of the linear frame buffer: 800 x 600 in 32 bits fits, and a compare costs a millisecond. */
export const FRAME_BUFFER_BYTES = 2 * 1024 * 1024;
export const VIDEO_PAGES = (PLANE_BYTES + FRAME_BUFFER_BYTES) / PAGE_SIZE;

const PLANE_PAGES = PLANE_BYTES / PAGE_SIZE;
const PAGE_WORDS = PAGE_SIZE / 4;

export class VideoMemory {
  private readonly cpu: V86Cpu;
  private readonly shadow = new Int32Array(VIDEO_PAGES * PAGE_WORDS);

  constructor(cpu: V86Cpu) {
    this.cpu = cpu;
  }

  /** Copies one page (0..VIDEO_PAGES-1) to `into` (4096 bytes). */
  read(page: number, into: Uint8Array): void {
    const { bytes, at } = this.locate(page);
    into.set(bytes.subarray(at, at + PAGE_SIZE));
  }

  /** Writes one page; a later compare() does not report it. */
  write(page: number, data: Uint8Array): void {
    const { bytes, at } = this.locate(page);
    bytes.set(data, at);
    new Uint8Array(this.shadow.buffer, page * PAGE_SIZE, PAGE_SIZE).set(data);
  }

  /** Adds the pages that changed since the last call to `changed` (as `first` + page). */
  compare(changed: Bitmap, first: number): void {
    this.compareRegion(this.planes(), 0, PLANE_PAGES, changed, first);
    this.compareRegion(this.frameBuffer(), PLANE_PAGES, VIDEO_PAGES - PLANE_PAGES, changed, first);
  }

  /** Declares the current content unchanged. */
  forget(): void {
    this.shadow.set(words(this.planes()), 0);
    this.shadow.set(words(this.frameBuffer()), PLANE_PAGES * PAGE_WORDS);
  }

  private compareRegion(bytes: Uint8Array, start: number, pages: number, changed: Bitmap, first: number): void {
    const now = words(bytes);
    const { shadow } = this;
    for (let page = 0; page < pages; page++) {
      const base = page * PAGE_WORDS;
      const shadowBase = (start + page) * PAGE_WORDS;
      for (let word = 0; word < PAGE_WORDS; word++) {
        if (now[base + word] === shadow[shadowBase + word]) continue;
        changed.add(first + start + page);
        shadow.set(now.subarray(base, base + PAGE_WORDS), shadowBase);
        break;
      }
    }
  }

  private locate(page: number): { bytes: Uint8Array; at: number } {
    if (page < PLANE_PAGES) return { bytes: this.planes(), at: page * PAGE_SIZE };
    return { bytes: this.frameBuffer(), at: (page - PLANE_PAGES) * PAGE_SIZE };
  }

  private planes(): Uint8Array {
    return this.cpu.devices.vga.vga_memory;
  }

  /** v86's own view is a slow proxy; this one is valid until the wasm memory grows. */
  private frameBuffer(): Uint8Array {
    return new Uint8Array(this.cpu.wasm_memory.buffer, this.cpu.devices.vga.svga_memory.byteOffset, FRAME_BUFFER_BYTES);
  }
}

function words(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
}
