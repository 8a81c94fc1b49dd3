import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sourceDigest } from './source-digest.ts';

describe("the digest of the page's sources", () => {
  let root: string;
  const digest = (): Promise<string> => sourceDigest(root, ['src', 'index.html', 'public'], (path) => path.endsWith('.test.ts'));

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'source-digest-'));
    await mkdir(join(root, 'src/deep'), { recursive: true });
    await writeFile(join(root, 'src/deep/a.ts'), 'a');
    await writeFile(join(root, 'index.html'), 'page');
  });
  afterEach(() => rm(root, { recursive: true }));

  it('stays the same while nothing changes, and when what is left out changes', async () => {
    const before = await digest();
    await writeFile(join(root, 'src/a.test.ts'), 'test');
    await writeFile(join(root, 'README.md'), 'text');
    expect(await digest()).toBe(before);
  });

  it('changes with a content, a name, a new file and a vanished one', async () => {
    const seen = new Set([await digest()]);
    const step = async (change: Promise<unknown>): Promise<void> => {
      await change;
      seen.add(await digest());
    };
    await step(writeFile(join(root, 'src/deep/a.ts'), 'b'));
    await step(writeFile(join(root, 'src/deep/b.ts'), 'a'));
    await step(mkdir(join(root, 'public')).then(() => writeFile(join(root, 'public/x'), '')));
    await step(rm(join(root, 'index.html')));
    await step(rm(join(root, 'src/deep/a.ts')));
    expect(seen.size).toBe(6);
  });
});
