import type { BaseDisk } from '../machine.ts';

/** A base image in memory whose reads are answered, or failed, by the test, in any order. */
export class FakeBaseDisk implements BaseDisk {
  readonly content: Uint8Array;
  readonly chunkBytes: number;
  readonly reads: { readonly offset: number; readonly length: number; answer(): void; fail(reason: string): void }[] = [];
  /** When set, reads are answered without the test's doing. */
  immediate = false;

  constructor(byteLength: number, chunkBytes: number) {
    this.content = new Uint8Array(byteLength);
    for (let at = 0; at < byteLength; at++) this.content[at] = (at * 31 + (at >> 9) * 7 + 1) & 0xff;
    this.chunkBytes = chunkBytes;
  }

  get byteLength(): number {
    return this.content.length;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    const data = (): Uint8Array => this.content.slice(offset, offset + length);
    if (this.immediate) return Promise.resolve(data());
    return new Promise((resolve, reject) => {
      const entry = {
        offset,
        length,
        answer: () => this.end(entry, () => resolve(data())),
        fail: (reason: string) => this.end(entry, () => reject(new Error(reason))),
      };
      this.reads.push(entry);
    });
  }

  answerAll(): void {
    for (const read of [...this.reads]) read.answer();
  }

  failAll(reason: string): void {
    for (const read of [...this.reads]) read.fail(reason);
  }

  dispose(): void {
    this.failAll('The disk was closed.');
  }

  private end(entry: (typeof this.reads)[number], settle: () => void): void {
    this.reads.splice(this.reads.indexOf(entry), 1);
    settle();
  }
}
