/** Codecs for tests: real compression and a real hash, from Node and plain JavaScript. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Compressor, PageHash } from '../ports.ts';

export const testCompressor: Compressor = {
  compress: (data) => new Uint8Array(deflateRawSync(data, { level: 1 })),
  decompress(data, expectedBytes) {
    const raw = new Uint8Array(inflateRawSync(data, { maxOutputLength: Math.max(1, expectedBytes) }));
    if (raw.length !== expectedBytes) throw new Error(`${raw.length} bytes came out where ${expectedBytes} were expected`);
    return raw;
  },
};

/** 64 bits from two multiplicative hashes over the page's words. */
export const testPageHash: PageHash = (page) => {
  const words = page.byteOffset % 4 === 0 ? new Uint32Array(page.buffer, page.byteOffset, page.length >> 2) : new Uint32Array(page.slice().buffer);
  let one = 0x811c9dc5;
  let two = 0x2545f491;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? 0;
    one = Math.imul(one ^ word, 0x01000193);
    one ^= one >>> 15;
    two = Math.imul(two + word, 0x85ebca6b);
    two ^= two >>> 13;
  }
  return (BigInt(one >>> 0) << 32n) | BigInt(two >>> 0);
};
