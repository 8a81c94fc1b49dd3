/**
 * Tracks which pages of RAM the guest writes. v86 cannot do this, so the shipped v86.wasm is rewritten at build time
 * (build/rewrite-emulator.ts): after the TLB was cleared, every write goes through one of two functions, and a wrapper
 * around each marks one byte per page. This file gives the rewritten emulator its byte map and reads it.
 *
 * A write whose TLB entry is older than the last clearing of the map is not marked. So the map is only ever cleared
 * together with the TLB, and never while a guest instruction is being executed (`rep ins` keeps its target address over
 * many calls into JavaScript). The caller must ensure that: see `Pacer.betweenTicks`.
 */
import { PAGE_SIZE } from '../shared/page.ts';
import type { Bitmap } from '../shared/bitmap.ts';
import { MachineError } from './machine-error.ts';
import { TRACKING_GLOBALS } from './tracking-globals.ts';
import type { V86Exports } from './v86-api.ts';

export class WriteTracking {
  private readonly exports: V86Exports;
  private readonly pages: number;
  private readonly map: number;

  /** Allocates the byte map in the emulator's memory. Marking begins with start(). */
  constructor(exports: V86Exports, memoryBytes: number) {
    this.exports = exports;
    this.pages = memoryBytes / PAGE_SIZE;
    this.map = exports.v86_malloc(this.pages) >>> 0;
    this.bytes().fill(0);
  }

  /** Marks from now on; `ramBase` is the address of guest RAM in the emulator's memory. */
  start(ramBase: number): void {
    this.global('mapAddress').value = this.map | 0;
    this.global('ramBase').value = ramBase | 0;
    this.global('pageCount').value = this.pages;
    this.exports.full_clear_tlb();
  }

  /** Adds the marked pages to `into` (numbers 0..pages-1), leaves the map as it is. */
  read(into: Bitmap): void {
    const bytes = this.bytes();
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, this.pages >> 2);
    for (let word = 0; word < words.length; word++) {
      if (words[word] === 0) continue;
      for (let page = word * 4; page < word * 4 + 4; page++) if (bytes[page] !== 0) into.add(page);
    }
  }

  /** Forgets all marks; every write from now on is marked again. Never while a guest instruction is being executed. */
  clear(): void {
    this.bytes().fill(0);
    this.exports.full_clear_tlb();
  }

  private bytes(): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer, this.map, this.pages);
  }

  private global(name: keyof typeof TRACKING_GLOBALS): WebAssembly.Global<'i32'> {
    const found = this.exports[TRACKING_GLOBALS[name]];
    if (!(found instanceof WebAssembly.Global)) {
      throw new MachineError('emulator-invalid', 'This v86.wasm has no write tracking. Rewrite it with rewriteEmulator() first.');
    }
    return found as WebAssembly.Global<'i32'>;
  }
}
