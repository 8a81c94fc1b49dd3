/**
 * A bounded queue of bytes. Memory grows by doubling as bytes arrive and is freed when the queue runs empty, so that an
 * idle connection costs nothing.
 */
const SMALLEST_BYTES = 16 * 1024;

export class ByteRing {
  /** Bytes queued. */
  length = 0;
  private bytes = new Uint8Array(0);
  private head = 0;

  /** Puts bytes behind the end, `offset` bytes after it; they count only once `commit` covers them. */
  writeAhead(offset: number, data: Uint8Array): void {
    this.reserve(this.length + offset + data.length);
    const size = this.bytes.length;
    const at = (this.head + this.length + offset) & (size - 1);
    const first = Math.min(data.length, size - at);
    if (first === data.length) {
      this.bytes.set(data, at);
    } else {
      this.bytes.set(data.subarray(0, first), at);
      this.bytes.set(data.subarray(first), 0);
    }
  }

  /** Makes `count` bytes written ahead part of the queue. */
  commit(count: number): void {
    this.length += count;
  }

  append(data: Uint8Array): void {
    this.writeAhead(0, data);
    this.length += data.length;
  }

  /** Copies `count` queued bytes that start at `offset` to `target` at `targetAt`. */
  copyTo(target: Uint8Array, targetAt: number, offset: number, count: number): void {
    const size = this.bytes.length;
    const at = (this.head + offset) & (size - 1);
    const first = Math.min(count, size - at);
    target.set(this.bytes.subarray(at, at + first), targetAt);
    if (first < count) target.set(this.bytes.subarray(0, count - first), targetAt + first);
  }

  /** Removes `count` bytes from the front. `keepMemory`: bytes written ahead are waiting. */
  drop(count: number, keepMemory = false): void {
    this.length -= count;
    if (this.length === 0 && !keepMemory) {
      this.bytes = this.bytes.length > SMALLEST_BYTES ? new Uint8Array(0) : this.bytes;
      this.head = 0;
    } else if (this.bytes.length > 0) {
      this.head = (this.head + count) & (this.bytes.length - 1);
    }
  }

  /** Removes and returns at most `limit` bytes from the front. */
  take(limit: number, keepMemory = false): Uint8Array {
    const taken = new Uint8Array(Math.min(limit, this.length));
    this.copyTo(taken, 0, 0, taken.length);
    this.drop(taken.length, keepMemory);
    return taken;
  }

  clear(): void {
    this.bytes = new Uint8Array(0);
    this.length = 0;
    this.head = 0;
  }

  /** Bytes of memory held. */
  get allocated(): number {
    return this.bytes.length;
  }

  /** The whole old content is moved, since bytes written ahead lie anywhere in it. */
  private reserve(count: number): void {
    if (count <= this.bytes.length) return;
    let size = Math.max(SMALLEST_BYTES, this.bytes.length);
    while (size < count) size *= 2;
    const grown = new Uint8Array(size);
    grown.set(this.bytes.subarray(this.head), 0);
    grown.set(this.bytes.subarray(0, this.head), this.bytes.length - this.head);
    this.bytes = grown;
    this.head = 0;
  }
}
