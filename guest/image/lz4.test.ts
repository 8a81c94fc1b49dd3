import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compressLz4 } from './lz4.ts';

/** A decompressor written from the format's description alone. It is strict, while the boot loader trusts its input. */
function decompress(block: Uint8Array): Uint8Array {
  const output: number[] = [];
  let at = 0;
  const byte = (): number => {
    const value = block[at++];
    if (value === undefined) throw new Error('the block is cut off');
    return value;
  };
  const length = (start: number): number => {
    let sum = start;
    if (start !== 15) return sum;
    for (let more = 255; more === 255;) sum += more = byte();
    return sum;
  };
  for (;;) {
    const token = byte();
    for (let left = length(token >> 4); left > 0; left--) output.push(byte());
    if (at === block.length) return Uint8Array.from(output);
    const distance = byte() | (byte() << 8);
    if (distance === 0 || distance > output.length) throw new Error(`a match reaches ${distance} bytes back from ${output.length}`);
    for (let left = length(token & 15) + 4; left > 0; left--) output.push(output[output.length - distance]!);
  }
}

/** Quicker than a comparison that could show the difference. */
function same(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

describe('LZ4 block compression', () => {
  it('is undone by a reader of the format, whatever the bytes', () => {
    const repetitive = fc
      .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 60 })), { maxLength: 30 })
      .map((parts) => Uint8Array.from(parts.flatMap(([piece, times]) => Array.from({ length: times }, () => [...piece]).flat())));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), repetitive), (input) => {
        expect(decompress(compressLz4(input))).toEqual(input);
      }),
    );
  });

  it('finds a repetition as far back as the format reaches, and none further', () => {
    const piece = Uint8Array.from({ length: 64 }, (_, index) => (index * 37) & 0xff);
    for (const gap of [65535, 65536]) {
      const input = new Uint8Array(gap + 64 + 20);
      // A gap without repetitions of its own would not compress at all; zeros do.
      input.set(piece);
      input.set(piece, gap);
      const packed = compressLz4(input);
      expect(same(decompress(packed), input)).toBe(true);
    }
  });

  it('packs zeros and long runs into next to nothing, the same way each time', () => {
    const zeros = new Uint8Array(100_000);
    const packed = compressLz4(zeros);
    expect(packed.length).toBeLessThan(zeros.length / 200);
    expect(same(compressLz4(zeros), packed)).toBe(true);
    expect(same(decompress(packed), zeros)).toBe(true);
  });

  it('ends with literals, as readers may rely on', () => {
    const packed = compressLz4(new Uint8Array(100).fill(7));
    expect([...packed.subarray(-5)]).toEqual([7, 7, 7, 7, 7]);
  });
});
