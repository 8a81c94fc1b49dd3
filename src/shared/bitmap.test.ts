import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitmap } from './bitmap.ts';

describe('Bitmap', () => {
  it('behaves as a set of numbers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.array(fc.tuple(fc.boolean(), fc.nat(499))), (size, steps) => {
        const bitmap = new Bitmap(size);
        const model = new Set<number>();
        for (const [add, raw] of steps) {
          const index = raw % size;
          if (add) bitmap.add(index);
          else bitmap.delete(index);
          if (add) model.add(index);
          else model.delete(index);
        }
        expect([...bitmap]).toEqual([...model].sort((a, b) => a - b));
        expect([...bitmap.toArray()]).toEqual([...bitmap]);
        expect(bitmap.count()).toBe(model.size);
        for (let index = 0; index < size; index++) expect(bitmap.has(index)).toBe(model.has(index));
      }),
    );
  });

  it('takes the union with another of the same size, and refuses one of another size', () => {
    const left = new Bitmap(20);
    const right = new Bitmap(20);
    left.add(3);
    right.add(19);
    left.addAll(right);
    expect([...left]).toEqual([3, 19]);
    expect(() => left.addAll(new Bitmap(21))).toThrow(RangeError);
  });

  it('refuses a bit outside and bytes of the wrong length', () => {
    expect(() => new Bitmap(8).add(8)).toThrow(RangeError);
    expect(() => new Bitmap(8).add(-1)).toThrow(RangeError);
    expect(() => new Bitmap(9, new Uint8Array(1))).toThrow(RangeError);
  });
});
