import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ensureGuest, type GuestSet } from './ensure-guest.ts';
import { serveFolder, type FileServer } from './testing/file-server.ts';
import { makeTinySet } from './testing/tiny-set.ts';

describe('a guest from a web server', () => {
  let root: string;
  let offered: GuestSet;
  let server: FileServer;
  let lines: string[];
  const onProgress = (line: string): void => void lines.push(line);

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'ensure-'));
    offered = await makeTinySet(join(root, 'offered'), join(root, 'scratch'));
    server = await serveFolder(offered.directory);
    lines = [];
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    await server.close();
    rmSync(root, { recursive: true, force: true });
  });

  it('is ready to be served without anything being built', async () => {
    const set = await ensureGuest({ root, guestUrl: server.origin, onProgress });
    expect(set.directory).toBe(join(root, '.cache/guest'));
    expect(set.files).toEqual(offered.files);
    expect(lines.at(-1)).toContain('The guest is ready');
  });

  it('is taken from the address in the environment, if none is given', async () => {
    vi.stubEnv('TABMOTION_GUEST_URL', server.origin);
    const set = await ensureGuest({ root, guestUrl: null, onProgress });
    expect(set.manifest).toEqual(offered.manifest);
  });

  it('goes on being used without a network, and that is said', async () => {
    await ensureGuest({ root, guestUrl: server.origin, onProgress });
    await server.close();
    const set = await ensureGuest({ root, guestUrl: server.origin, onProgress });
    expect(set.manifest).toEqual(offered.manifest);
    expect(lines.join('\n')).toContain('came from there earlier is used');
    await expect(ensureGuest({ root, guestUrl: `${server.origin}/other`, onProgress })).rejects.toMatchObject({ reason: 'download-failed' });
  });

  it('is loaded once by two that ask at the same time', async () => {
    await Promise.all([ensureGuest({ root, guestUrl: server.origin, onProgress }), ensureGuest({ root, guestUrl: server.origin, onProgress })]);
    expect(server.requests.filter((request) => request.includes('bios.bin') && !request.includes('vga'))).toHaveLength(1);
  });
});
