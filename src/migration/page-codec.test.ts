import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FUZZ_LIMIT_MS, FUZZ_RUNS } from '../shared/testing/full.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import { MAX_DATA_PAGES_PER_BLOCK, MAX_ZERO_PAGES_PER_BLOCK } from './limits.ts';
import { MigrationError } from './migration-error.ts';
import { isZeroPage, parseBlock, serializeBlock, type PageBlock } from './page-codec.ts';
import { appendPageList, readPageList } from './page-list.ts';
import type { Compressor } from './ports.ts';
import { deflateCompressor, runLengthCompressor } from './testing/codecs.ts';
import { SeededRandom } from './testing/seeded-random.ts';
import { MAX_PAYLOAD_BYTES } from './wire.ts';

const PAGES = 5000;
const BAD = expect.objectContaining({ name: 'MigrationError', cause: 'bad-message' }) as Error;

const pageSet = (maxLength: number): fc.Arbitrary<number[]> =>
  fc.uniqueArray(fc.nat(PAGES - 1), { maxLength }).map((pages) => pages.sort((left, right) => left - right));

function block(zeros: readonly number[], full: readonly number[], fill: (page: number) => Uint8Array): PageBlock {
  const data = new Uint8Array(full.length * PAGE_SIZE);
  full.forEach((page, index) => data.set(fill(page), index * PAGE_SIZE));
  return { zeros: Uint32Array.from(zeros), full: Uint32Array.from(full), differences: Uint8Array.from(full, (page) => page & 1), data };
}

/** Compared as bytes: Vitest's own comparison of large arrays is slow. */
function expectSame(read: PageBlock, written: PageBlock): void {
  expect([...read.zeros]).toEqual([...written.zeros]);
  expect([...read.full]).toEqual([...written.full]);
  expect([...read.differences]).toEqual([...written.differences]);
  expect(Buffer.compare(read.data, written.data)).toBe(0);
}

describe('A list of pages', () => {
  it('is read as it was written, and ends where it ends (MG7)', () => {
    fc.assert(
      fc.property(pageSet(300), fc.nat(20), (pages, before) => {
        const bytes: number[] = Array.from({ length: before }, () => 0xff);
        appendPageList(pages, bytes);
        const end = bytes.length;
        const read = readPageList(Uint8Array.from([...bytes, 0xff]), before, pages.length, PAGES);
        expect([...read.pages]).toEqual(pages);
        expect(read.offset).toBe(end);
      }),
    );
  });

  it('takes few bytes for pages in a row', () => {
    const bytes: number[] = [];
    appendPageList(
      Array.from({ length: 4000 }, (_, index) => 900 + index),
      bytes,
    );
    expect(bytes.length).toBe(4);
  });

  const rejections: [string, number[], number][] = [
    ['it is cut off', [0x80], 1],
    ['a number is too long', [0x80, 0x80, 0x80, 0x80, 0x01, 1], 1],
    ['a number is not in its shortest form', [0x85, 0x00, 1], 1],
    ['a run is empty', [3, 0], 1],
    ['two runs touch', [3, 1, 0, 1], 2],
    ['a run is longer than the count', [3, 9], 5],
    ['a page lies outside the VM', [0x88, 0x27, 1], 1],
    ['a run reaches outside the VM', [0x86, 0x27, 3], 3],
  ];
  for (const [what, bytes, count] of rejections) {
    it(`is refused if ${what} (MG7)`, () => {
      expect(() => readPageList(Uint8Array.from(bytes), 0, count, PAGES)).toThrow(BAD);
    });
  }
});

describe('A block of pages', () => {
  it('is read as it was written, with any compressor (MG7)', () => {
    fc.assert(
      fc.property(pageSet(200), pageSet(MAX_DATA_PAGES_PER_BLOCK), fc.boolean(), (zeros, full, deflate) => {
        fc.pre(zeros.length + full.length > 0);
        const compressor = deflate ? deflateCompressor : runLengthCompressor;
        const written = block(zeros, full, (page) => new Uint8Array(PAGE_SIZE).fill(page & 0xff));
        const payload = serializeBlock(written, compressor);
        if (payload === null) throw new Error('It did not fit');
        expectSame(parseBlock(payload, PAGES, compressor), written);
      }),
      { numRuns: 50 },
    );
  });

  it('sends data that cannot be compressed as it is; a block that does not fit is to be cut (MG7)', () => {
    const random = new SeededRandom(1);
    const one = block([1, 2], [3], () => random.bytes(PAGE_SIZE));
    const payload = serializeBlock(one, deflateCompressor);
    expect(payload?.length).toBeGreaterThan(PAGE_SIZE);
    expect(payload?.[0]).toBe(0);
    expectSame(parseBlock(payload ?? new Uint8Array(0), PAGES, deflateCompressor), one);
    const many = block(
      [],
      Array.from({ length: 16 }, (_, index) => index),
      () => random.bytes(PAGE_SIZE),
    );
    expect(serializeBlock(many, deflateCompressor)).toBeNull();
  });

  it('of one page always fits, whatever zero pages come with it', () => {
    const zeros = Array.from({ length: MAX_ZERO_PAGES_PER_BLOCK }, (_, index) => index * 4000);
    const payload = serializeBlock(
      block(zeros, [1], () => new SeededRandom(1).bytes(PAGE_SIZE)),
      deflateCompressor,
    );
    expect(payload?.length).toBeLessThan(MAX_PAYLOAD_BYTES);
  });

  const good =
    serializeBlock(
      block([1], [2], () => new Uint8Array(PAGE_SIZE).fill(7)),
      deflateCompressor,
    ) ?? new Uint8Array(0);
  const withByte = (at: number, value: number): Uint8Array => {
    const changed = good.slice();
    changed[at] = value;
    return changed;
  };
  const rejections: [string, Uint8Array][] = [
    ['no header', good.slice(0, 4)],
    ['an unknown coding', withByte(0, 2)],
    ['too many zero pages', withByte(1, 0xff)],
    ['too many full pages', withByte(4, MAX_DATA_PAGES_PER_BLOCK + 1)],
    ['no page', Uint8Array.of(0, 0, 0, 0, 0)],
    ['a list that is cut off', good.slice(0, 6)],
    ['a bitmap that is cut off', Uint8Array.of(0, 0, 0, 0, 1, 0, 1)],
    ['more differences than pages', Uint8Array.of(0, 0, 0, 0, 1, 0, 1, 2, ...new Uint8Array(PAGE_SIZE))],
    ['less raw data than its pages', Uint8Array.of(0, 0, 0, 0, 1, 0, 1, 0, 9, 9)],
    ['raw data although all pages are zero', Uint8Array.of(0, 0, 1, 0, 0, 0, 1, 9)],
    ['compressed data that is cut off', good.slice(0, -1)],
    ['compressed data of another size', withByte(4, 2)],
    ['compressed data that is none', Uint8Array.of(1, 0, 0, 0, 1, 0, 1, 0, 0xff, 0xff, 0xff)],
  ];
  for (const [what, payload] of rejections) {
    it(`is refused with ${what} (MG7)`, () => {
      expect(() => parseBlock(payload, PAGES, deflateCompressor)).toThrow(BAD);
    });
  }

  it('never asks the compressor for more than 192 KiB (MG2)', () => {
    const asked: number[] = [];
    const watching: Compressor = {
      compress: (data) => deflateCompressor.compress(data),
      decompress(data, expectedBytes) {
        asked.push(expectedBytes);
        return deflateCompressor.decompress(data, expectedBytes);
      },
    };
    const random = new SeededRandom(3);
    for (let count = 0; count < 3000; count++) {
      const pages = random.below(60);
      try {
        parseBlock(Uint8Array.from([1, 0, 0, 0, pages, 0, pages, ...random.bytes(40)]), PAGES, watching);
      } catch {
        // Only what was asked for matters.
      }
    }
    expect(asked.length).toBeGreaterThan(0);
    expect(Math.max(...asked)).toBeLessThanOrEqual(MAX_DATA_PAGES_PER_BLOCK * PAGE_SIZE);
  });

  it(
    'made of anything is either read or refused by name, in bounded memory (MG6, C7)',
    () => {
      const random = new SeededRandom(20);
      const start =
        serializeBlock(
          block([1], [2], () => new Uint8Array(PAGE_SIZE).fill(7)),
          runLengthCompressor,
        ) ?? new Uint8Array(0);
      let read = 0;
      for (let count = 0; count < FUZZ_RUNS; count++) {
        // Half of them start as a good block, so that damage deep inside is tried as well.
        const bytes = random.chance(0.5) ? start.slice() : random.bytes(random.below(200));
        for (let damage = random.below(4); damage > 0 && bytes.length > 0; damage--) bytes[random.below(bytes.length)] = random.below(256);
        const payload = bytes.subarray(0, random.chance(0.3) ? random.below(bytes.length + 1) : bytes.length);
        try {
          const { zeros, full, data } = parseBlock(payload, PAGES, runLengthCompressor);
          if (data.length !== full.length * PAGE_SIZE || zeros.length > MAX_ZERO_PAGES_PER_BLOCK) expect.fail('More was made of it than its limits allow.');
          read++;
        } catch (error) {
          if (!(error instanceof MigrationError)) throw error;
        }
      }
      expect(read).toBeGreaterThan(0);
    },
    FUZZ_LIMIT_MS,
  );
});

describe('A zero page', () => {
  it('is one that holds nothing else', () => {
    expect(isZeroPage(new Uint8Array(PAGE_SIZE))).toBe(true);
    for (const at of [0, 1, 2047, PAGE_SIZE - 1]) {
      const page = new Uint8Array(PAGE_SIZE);
      page[at] = 1;
      expect(isZeroPage(page)).toBe(false);
    }
  });
});
