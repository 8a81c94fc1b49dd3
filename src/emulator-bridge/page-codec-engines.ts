/** The compressor and the page hash that the migration engine works with: zstd and xxHash64, both as WebAssembly. */
import { compress, decompress, init } from '@bokuweb/zstd-wasm';
import { createXXHash64 } from 'hash-wasm';
import type { Compressor, PageHash } from '../migration/ports.ts';

/** Level 1: 263 MB/s at a ratio of 0.34 on guest pages; higher levels cost more time than the bytes they save. */
const ZSTD_LEVEL = 1;
const ZSTD_MAGIC = 0xfd2fb528;

/** A second init() of the package would replace the memory that users of the first one still use. */
let loaded: Promise<void> | null = null;

/** Loads zstd, once. Works in Node, on a page and in a worker. */
export async function createCompressor(): Promise<Compressor> {
  await (loaded ??= init());
  return {
    compress: (data) => compress(data, ZSTD_LEVEL),
    decompress(data, expectedBytes) {
      const declared = declaredContentBytes(data);
      if (declared !== expectedBytes) {
        throw new Error(`A compressed block declares ${declared ?? 'no'} bytes of content where ${expectedBytes} belong`);
      }
      const content = decompress(data);
      if (content.length !== expectedBytes) {
        throw new Error(`A compressed block held ${content.length} bytes where ${expectedBytes} belong`);
      }
      return content;
    },
  };
}

/**
 * The content size that a zstd frame declares (RFC 8878, 3.1.1.1), read before anything is allocated; null if it
 * declares none or the header is not one.
 */
export function declaredContentBytes(frame: Uint8Array): number | null {
  if (frame.length < 6) return null;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== ZSTD_MAGIC) return null;
  const descriptor = view.getUint8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const at = 5 + (singleSegment ? 0 : 1) + dictionaryBytes;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][sizeFlag] ?? 0;
  if (sizeBytes === 0 || frame.length < at + sizeBytes) return null;
  switch (sizeBytes) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    default: {
      const size = view.getBigUint64(at, true);
      return size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : null;
    }
  }
}

/** Loads xxHash64. The returned function is synchronous and not re-entrant. */
export async function createPageHash(): Promise<PageHash> {
  const hasher = await createXXHash64();
  return (page) => {
    hasher.init();
    hasher.update(page);
    const digest = hasher.digest('binary');
    return new DataView(digest.buffer, digest.byteOffset, 8).getBigUint64(0, false);
  };
}
