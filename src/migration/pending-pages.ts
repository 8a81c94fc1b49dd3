import { Bitmap } from '../shared/bitmap.ts';

/** Pages still to be sent; taken in rising order, then from the start again. */
export class PendingPages {
  private readonly pages: Bitmap;
  private left = 0;
  /** Byte of the bitmap where the next search starts. */
  private cursor = 0;

  constructor(size: number) {
    this.pages = new Bitmap(size);
  }

  get count(): number {
    return this.left;
  }

  /** The next page taken may be lower than the last one. */
  get beginsAgain(): boolean {
    return this.cursor === 0;
  }

  add(page: number): void {
    if (this.pages.has(page)) return;
    this.pages.add(page);
    this.left++;
  }

  /** Adds all of `pages`, which must have the same size; the next search starts at the first page again. */
  addAll(pages: Bitmap): void {
    this.pages.addAll(pages);
    this.left = this.pages.count();
    this.cursor = 0;
  }

  /** Takes out up to `most` pages, rising. Fewer only at the end of the pages or of what is pending. */
  take(most: number): Uint32Array {
    const taken = new Uint32Array(Math.min(most, this.left));
    const { bytes } = this.pages;
    let filled = 0;
    while (filled < taken.length) {
      if (this.cursor >= bytes.length) {
        this.cursor = 0;
        // A block's page list must rise, so lower pages start the next block.
        if (filled > 0) break;
      }
      const byte = bytes[this.cursor] ?? 0;
      if (byte === 0) {
        this.cursor++;
        continue;
      }
      const page = this.cursor * 8 + (31 - Math.clz32(byte & -byte));
      this.pages.delete(page);
      taken[filled++] = page;
    }
    this.left -= filled;
    return filled === taken.length ? taken : taken.slice(0, filled);
  }
}
