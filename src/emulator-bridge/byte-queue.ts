/** A first-in first-out queue of bytes; every operation takes amortised constant time per byte. */
export class ByteQueue {
  private data = new Uint8Array(64);
  private head = 0;
  private count = 0;

  get length(): number {
    return this.count;
  }

  push(byte: number): void {
    this.reserve(1);
    this.data[(this.head + this.count) % this.data.length] = byte;
    this.count++;
  }

  pushAll(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    const tail = (this.head + this.count) % this.data.length;
    const first = Math.min(bytes.length, this.data.length - tail);
    this.data.set(bytes.subarray(0, first), tail);
    this.data.set(bytes.subarray(first), 0);
    this.count += bytes.length;
  }

  /** The oldest byte, removed; undefined when empty. */
  shift(): number | undefined {
    if (this.count === 0) return undefined;
    const byte = this.data[this.head];
    this.drop(1);
    return byte;
  }

  /** Forgets the `count` oldest bytes. */
  drop(count: number): void {
    const dropped = Math.max(0, Math.min(count, this.count));
    this.head = (this.head + dropped) % this.data.length;
    this.count -= dropped;
  }

  clear(): void {
    this.head = 0;
    this.count = 0;
  }

  /** A copy of the content, oldest first. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.count);
    const first = Math.min(bytes.length, this.data.length - this.head);
    bytes.set(this.data.subarray(this.head, this.head + first));
    bytes.set(this.data.subarray(0, bytes.length - first), first);
    return bytes;
  }

  private reserve(more: number): void {
    if (this.count + more <= this.data.length) return;
    const larger = new Uint8Array(Math.max(this.data.length * 2, this.count + more));
    larger.set(this.toBytes());
    this.data = larger;
    this.head = 0;
  }
}
