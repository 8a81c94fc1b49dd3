import { describe, expect, it } from 'vitest';
import { cpioArchive } from './cpio.ts';

describe('a cpio archive', () => {
  const archive = Buffer.from(
    cpioArchive([
      { path: 'dev', kind: 'folder', mode: 0o755 },
      { path: 'init', kind: 'file', mode: 0o755, content: Uint8Array.of(1, 2, 3, 4, 5) },
    ]),
  );

  it('holds each entry with its kind, mode and size, owned by root at time 0, and ends with the trailer', () => {
    const records: Record<string, string>[] = [];
    for (let at = 0; at < archive.length;) {
      const field = (index: number): string => archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8);
      expect(archive.toString('latin1', at, at + 6)).toBe('070701');
      const size = parseInt(field(6), 16);
      const nameBytes = parseInt(field(11), 16);
      const name = archive.toString('latin1', at + 110, at + 110 + nameBytes - 1);
      const contentAt = (at + 110 + nameBytes + 3) & ~3;
      records.push({
        name,
        mode: parseInt(field(1), 16).toString(8),
        owner: `${field(2)}${field(3)}`,
        time: field(5),
        content: archive.toString('hex', contentAt, contentAt + size),
      });
      at = (contentAt + size + 3) & ~3;
    }
    const root = { owner: '0'.repeat(16), time: '0'.repeat(8) };
    expect(records).toEqual([
      { name: 'dev', mode: '40755', content: '', ...root },
      { name: 'init', mode: '100755', content: '0102030405', ...root },
      { name: 'TRAILER!!!', mode: '0', content: '', ...root },
    ]);
  });
});
