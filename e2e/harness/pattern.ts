import { createHash } from 'node:crypto';

/** SHA-256 of what the guest's `pattern MIB SEED` prints: xorshift32 words, little-endian. */
export function patternDigest(mebibytes: number, seed: number): string {
  const hash = createHash('sha256');
  const block = new Uint32Array(1024 * 256);
  let state = seed >>> 0;
  for (let count = 0; count < mebibytes; count++) {
    for (let at = 0; at < block.length; at++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state = (state ^ (state << 5)) >>> 0;
      block[at] = state;
    }
    hash.update(new Uint8Array(block.buffer));
  }
  return hash.digest('hex');
}
