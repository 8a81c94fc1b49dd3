import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitmap } from '../shared/bitmap.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import { PageDigest, scanMemory, type ReadableMemory } from './page-digest.ts';
import { testPageHash } from './testing/codecs.ts';

const PAGES = 64;
const change = fc.tuple(fc.nat(PAGES - 1), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));

describe('The incremental digest', () => {
  it('is the same whatever order the pages came in, and however often they were replaced (MG20)', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 80 }), fc.func(fc.nat()), (changes, order) => {
        const one = new PageDigest(PAGES);
        for (const [page, hash] of changes) one.set(page, hash);
        const last = new Map(changes);
        const other = new PageDigest(PAGES);
        for (const [page, hash] of [...last].sort(([left], [right]) => order(left) - order(right))) other.set(page, hash);
        expect(other.value()).toBe(one.value());
      }),
    );
  });

  it('differs when a page differs, is missing, or lies elsewhere (MG20)', () => {
    fc.assert(
      fc.property(fc.uniqueArray(change, { minLength: 1, maxLength: 40, selector: ([page]) => page }), fc.nat(), (changes, pick) => {
        const value = (pages: readonly (readonly [number, bigint])[]): string => {
          const digest = new PageDigest(PAGES + 1);
          for (const [page, hash] of pages) digest.set(page, hash);
          return digest.value();
        };
        const index = pick % changes.length;
        const [page, hash] = changes[index] ?? [0, 0n];
        const others = changes.filter((_, at) => at !== index);
        expect(value([...others, [page, hash ^ 1n]])).not.toBe(value(changes));
        expect(value([...others, [page, hash ^ (1n << 63n)]])).not.toBe(value(changes));
        expect(value(others)).not.toBe(value(changes));
        expect(value([...others, [PAGES, hash]])).not.toBe(value(changes));
      }),
    );
  });

  it('differs when two pages are exchanged', () => {
    const one = new PageDigest(4);
    one.set(1, 5n);
    one.set(2, 6n);
    const other = new PageDigest(4);
    other.set(1, 6n);
    other.set(2, 5n);
    expect(other.value()).not.toBe(one.value());
  });

  it('says whether a page is new to it, and forgets a page as if it had never come (MG12)', () => {
    const digest = new PageDigest(4);
    const empty = digest.value();
    expect(digest.set(1, 0n)).toBe(true);
    expect(digest.set(1, 0n)).toBe(false);
    expect(digest.set(1, 2n ** 40n)).toBe(true);
    expect(digest.set(1, 2n ** 40n)).toBe(false);
    digest.forget(1);
    digest.forget(2);
    expect(digest.value()).toBe(empty);
    expect(digest.set(1, 2n ** 40n)).toBe(true);
  });
});

describe('The scan of all memory', () => {
  const space = { ramPages: 600, videoPages: 20, diskPages: 300 };
  const memory = (differs: readonly number[], change?: number): ReadableMemory => {
    const bitmap = new Bitmap(920);
    for (const page of differs) bitmap.add(page);
    return {
      space,
      readPages: (pages, into) => pages.forEach((page, index) => into.fill(page === change ? 255 : page % 250, index * PAGE_SIZE, (index + 1) * PAGE_SIZE)),
      differsFromBase: () => bitmap,
    };
  };
  const scan = (vm: ReadableMemory): Promise<string> => scanMemory(vm, testPageHash, () => Promise.resolve());

  it('sees every page of RAM and video memory, whether it was sent or not, and every block of the overlay (MG20)', async () => {
    const reference = await scan(memory([5, 700]));
    expect(await scan(memory([9, 700]))).toBe(reference);
    for (const page of [0, 5, 599, 600, 619, 700]) expect(await scan(memory([5, 700], page))).not.toBe(reference);
    expect(await scan(memory([5, 700, 701]))).not.toBe(reference);
    expect(await scan(memory([5]))).not.toBe(reference);
    // Blocks that were never written are the base image's.
    expect(await scan(memory([5, 700], 800))).toBe(reference);
  });

  it('breathes between steps, and ends as soon as that throws', async () => {
    let breaths = 0;
    await scanMemory(memory([]), testPageHash, () => {
      breaths++;
      return Promise.resolve();
    });
    expect(breaths).toBe(3);
    await expect(scanMemory(memory([]), testPageHash, () => Promise.reject(new Error('enough')))).rejects.toThrow('enough');
  });
});
