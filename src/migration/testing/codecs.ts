/** Codecs for tests: real compression and a real hash, from Node and plain JavaScript. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Compressor, PageHash } from '../ports.ts';

export const deflateCompressor: Compressor = {
  compress: (data) => new Uint8Array(deflateRawSync(data, { level: 1 })),
  decompress(data, expectedBytes) {
    const raw = new Uint8Array(inflateRawSync(data, { maxOutputLength: Math.max(1, expectedBytes) }));
    if (raw.length !== expectedBytes) throw new Error(`${raw.length} bytes came out where ${expectedBytes} were expected`);
    return raw;
  },
};

/** Encodes runs of equal words, and the bytes after the last whole word: enough for model VMs, and much faster than zlib on little data. */
export const runLengthCompressor: Compressor = {
  compress(data) {
    const wholeBytes = data.length - (data.length % 4);
    const words = new Uint32Array(data.slice(0, wholeBytes).buffer);
    const runs: number[] = [];
    for (let at = 0; at < words.length;) {
      let length = 1;
      while (at + length < words.length && words[at + length] === words[at]) length++;
      runs.push(length, words[at] ?? 0);
      at += length;
    }
    const packed = new Uint8Array(runs.length * 4 + data.length - wholeBytes);
    packed.set(new Uint8Array(Uint32Array.from(runs).buffer));
    packed.set(data.subarray(wholeBytes), runs.length * 4);
    return packed;
  },
  decompress(data, expectedBytes) {
    const tail = expectedBytes % 4;
    if (data.length < tail || (data.length - tail) % 8 !== 0) throw new Error(`${data.length} bytes are no runs`);
    const runs = new Uint32Array(data.slice(0, data.length - tail).buffer);
    const words = new Uint32Array((expectedBytes - tail) / 4);
    let filled = 0;
    for (let at = 0; at < runs.length; at += 2) {
      const length = runs[at] ?? 0;
      if (length > words.length - filled) throw new Error('More came out than was expected');
      words.fill(runs[at + 1] ?? 0, filled, filled + length);
      filled += length;
    }
    if (filled < words.length) throw new Error('Less came out than was expected');
    const raw = new Uint8Array(expectedBytes);
    raw.set(new Uint8Array(words.buffer));
    raw.set(data.subarray(data.length - tail), expectedBytes - tail);
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
