/** A fixed-size set of page numbers, one bit each; bit `i` is bit `i & 7` of byte `i >> 3`. */
export class Bitmap {
  readonly size: number;
  readonly bytes: Uint8Array;

  /** `size` bits, all clear; or over `bytes` (not copied; must be ceil(size / 8) long, spare bits clear). */
  constructor(size: number, bytes?: Uint8Array) {
    const length = Math.ceil(size / 8);
    if (bytes !== undefined && bytes.length !== length) {
      throw new RangeError(`A bitmap of ${size} bits has ${length} bytes, not ${bytes.length}`);
    }
    this.size = size;
    this.bytes = bytes ?? new Uint8Array(length);
  }

  has(index: number): boolean {
    return ((this.bytes[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  add(index: number): void {
    this.check(index);
    const at = index >> 3;
    this.bytes[at] = (this.bytes[at] ?? 0) | (1 << (index & 7));
  }

  delete(index: number): void {
    this.check(index);
    const at = index >> 3;
    this.bytes[at] = (this.bytes[at] ?? 0) & ~(1 << (index & 7));
  }

  clear(): void {
    this.bytes.fill(0);
  }

  /** Adds every member of `other`, which must have the same size. */
  addAll(other: Bitmap): void {
    if (other.size !== this.size) throw new RangeError(`Bitmaps of ${this.size} and ${other.size} bits do not match`);
    for (let at = 0; at < this.bytes.length; at++) {
      this.bytes[at] = (this.bytes[at] ?? 0) | (other.bytes[at] ?? 0);
    }
  }

  count(): number {
    let total = 0;
    for (let at = 0; at < this.bytes.length; at++) {
      let byte = this.bytes[at] ?? 0;
      byte -= (byte >> 1) & 0x55;
      byte = (byte & 0x33) + ((byte >> 2) & 0x33);
      total += (byte + (byte >> 4)) & 0x0f;
    }
    return total;
  }

  copy(): Bitmap {
    return new Bitmap(this.size, this.bytes.slice());
  }

  /** Members in rising order. */
  *[Symbol.iterator](): Generator<number> {
    for (let at = 0; at < this.bytes.length; at++) {
      const byte = this.bytes[at] ?? 0;
      if (byte === 0) continue;
      for (let bit = 0; bit < 8; bit++) {
        if (byte & (1 << bit)) yield at * 8 + bit;
      }
    }
  }

  toArray(): Uint32Array {
    const members = new Uint32Array(this.count());
    let at = 0;
    for (const member of this) members[at++] = member;
    return members;
  }

  private check(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.size) {
      throw new RangeError(`Bit ${index} is outside a bitmap of ${this.size}`);
    }
  }
}
