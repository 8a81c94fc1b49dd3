import { createHash } from 'node:crypto';
import { afterEach, expect, it, vi } from 'vitest';
import { hex } from '../shared/hex.ts';
import { sha256 } from './sha256.ts';

afterEach(() => void vi.unstubAllGlobals());

for (const [where, stub] of [
  ['by the platform', () => undefined],
  ['in a page over plain http', () => vi.stubGlobal('crypto', {})],
] as const) {
  it(`is right ${where}, for many at once too`, async () => {
    stub();
    const contents = [0, 1, 64, 5000].map((length) => new Uint8Array(length).fill(length));
    const digests = await Promise.all(contents.map(sha256));
    expect(digests.map((digest) => hex(digest))).toEqual(contents.map((content) => createHash('sha256').update(content).digest('hex')));
  });
}
