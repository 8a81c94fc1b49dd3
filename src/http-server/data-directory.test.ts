import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { link, mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimDataDirectory } from './data-directory.ts';

/** The file of a local socket that nobody listens on. */
async function leaveSocketFile(path: string): Promise<void> {
  const server = createServer().listen(`${path}.own`);
  await once(server, 'listening');
  await rm(path, { force: true });
  await link(`${path}.own`, path);
  server.close();
  await once(server, 'close');
}

describe('the data directory', () => {
  let parent: string;
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'data-directory-'));
  });
  afterEach(() => rm(parent, { recursive: true }));

  it('is made for this user alone', async () => {
    const claim = await claimDataDirectory(join(parent, 'deep/data'));
    expect((await stat(join(parent, 'deep/data'))).mode & 0o077).toBe(0);
    claim.dispose();
  });

  it('belongs to one server at a time, by whatever name it is called', async () => {
    const directory = join(parent, 'data');
    const claim = await claimDataDirectory(directory);
    await symlink(directory, join(parent, 'other-name'));
    await expect(claimDataDirectory(directory)).rejects.toThrow('Another TabMotion server uses');
    await expect(claimDataDirectory(join(parent, 'other-name'))).rejects.toThrow('--data DIR');
    claim.dispose();
    (await claimDataDirectory(directory)).dispose();
  });

  it('is free again after a server that used it was killed', async () => {
    const module = new URL('data-directory.ts', import.meta.url).href;
    const script = `const { claimDataDirectory } = await import(${JSON.stringify(module)}); await claimDataDirectory(${JSON.stringify(parent)}); console.log('held'); setInterval(() => undefined, 1e6);`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    await expect(claimDataDirectory(parent)).rejects.toThrow('Another TabMotion server uses');
    child.kill('SIGKILL');
    await once(child, 'exit');
    (await claimDataDirectory(parent)).dispose();
  });

  describe.runIf(process.platform === 'linux')('on Linux', () => {
    const temporary = process.env['TMPDIR'];
    afterEach(() => {
      if (temporary === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = temporary;
    });

    it('belongs to one server, also if they have different folders for temporary files', async () => {
      const claim = await claimDataDirectory(join(parent, 'data'));
      process.env['TMPDIR'] = parent;
      await expect(claimDataDirectory(join(parent, 'data'))).rejects.toThrow('Another TabMotion server uses');
      claim.dispose();
      (await claimDataDirectory(join(parent, 'data'))).dispose();
    });

    it('belongs to one server, also if several start at the same moment on what a killed one left behind', async () => {
      process.env['TMPDIR'] = parent;
      const directory = join(parent, 'data');
      (await claimDataDirectory(directory)).dispose();
      for (let round = 0; round < 20; round++) {
        await leaveSocketFile(join(parent, `tabmotion-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}.sock`));
        const claims = await Promise.allSettled(Array.from({ length: 5 }, () => claimDataDirectory(directory)));
        const held = claims.filter((claim) => claim.status === 'fulfilled');
        for (const { value } of held) value.dispose();
        expect(held).toHaveLength(1);
      }
    });
  });

  it('that cannot be made is refused with the way out', async () => {
    await expect(claimDataDirectory('/dev/null/data')).rejects.toThrow('--data DIR');
  });
});
