import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Compressor } from '../migration/ports.ts';
import { createCompressor, createPageHash, declaredContentBytes } from './page-codec-engines.ts';

let zstd: Compressor;

beforeAll(async () => {
  zstd = await createCompressor();
});

describe('zstd', () => {
  it('gives back what it was given, and its frames declare their size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 256 }), (length, period) => {
        const content = Uint8Array.from({ length }, (_, at) => Math.imul(at % period, 0x9e3779b1) >>> 24);
        const frame = zstd.compress(content);
        expect(declaredContentBytes(frame)).toBe(content.length);
        expect(Buffer.compare(zstd.decompress(frame, content.length), content)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('refuses a frame that declares another size before it allocates anything', () => {
    const frame = zstd.compress(new Uint8Array(1000));
    expect(() => zstd.decompress(frame, 999)).toThrow('declares 1000 bytes');
  });

  it('refuses garbage', () => {
    expect(declaredContentBytes(new Uint8Array(3))).toBeNull();
    expect(() => zstd.decompress(new Uint8Array(100).fill(9), 4096)).toThrow('declares no bytes');
    const frame = zstd.compress(crypto.getRandomValues(new Uint8Array(4096)));
    frame.fill(0xff, 20, 60);
    expect(() => zstd.decompress(frame.slice(0, 80), 4096)).toThrow();
  });
});

describe('page hash', () => {
  it('is xxHash64', async () => {
    const hash = await createPageHash();
    expect(hash(new Uint8Array(0))).toBe(0xef46db3751d8e999n);
    expect(hash(new TextEncoder().encode('a'))).toBe(0xd24ec4f1a98c6e5bn);
  });
});
