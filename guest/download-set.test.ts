import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GuestArtefact } from '../src/emulator-bridge/guest-manifest.ts';
import { downloadSet } from './download-set.ts';
import { artefactPath, artefactsOf, findGuestSet, type GuestSet } from './guest-set.ts';
import { serveFolder, type FileServer } from './testing/file-server.ts';
import { makeTinySet } from './testing/tiny-set.ts';

describe('a guest set from a web server', () => {
  let folder: string;
  let target: string;
  let offered: GuestSet;
  let server: FileServer;
  const print = (): void => undefined;
  const download = (): Promise<GuestSet> => downloadSet(server.origin, target, { print });

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'download-'));
    target = join(folder, 'target');
    offered = await makeTinySet(join(folder, 'offered'), join(folder, 'scratch'));
    server = await serveFolder(offered.directory);
    rmSync(target, { recursive: true, force: true });
  });

  afterEach(async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is complete and whole afterwards, with the list of sources', async () => {
    const set = await download();
    expect(set.manifest).toEqual(offered.manifest);
    expect(findGuestSet(target)?.manifest).toEqual(offered.manifest);
    for (const artefact of artefactsOf(set.manifest)) {
      expect(readFileSync(artefactPath(target, artefact)).equals(readFileSync(artefactPath(offered.directory, artefact)))).toBe(true);
    }
    expect(readFileSync(join(target, 'SOURCES'), 'utf8')).toBe('what it is made of\n');
  });

  it('is not loaded a second time', async () => {
    await download();
    server.requests.length = 0;
    await download();
    expect(server.requests).toEqual(['/manifest.json']);
  });

  /** A download in which the answer for this file breaks off after its first `bytes`. */
  const breakingOff = (artefact: GuestArtefact, bytes: number): Promise<GuestSet> => {
    const get: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      if (!new Request(url).url.endsWith(`/${artefact.name}`)) return response;
      const content = new Uint8Array(await response.arrayBuffer());
      let sent = false;
      const body = new ReadableStream<Uint8Array>({
        pull(stream) {
          if (sent) stream.error(new Error('the connection was lost'));
          else stream.enqueue(content.subarray(0, bytes));
          sent = true;
        },
      });
      return new Response(body, { status: response.status, headers: response.headers });
    };
    return downloadSet(server.origin, target, { print, fetch: get });
  };

  it('comes without the empty parts of its disk', async () => {
    await download();
    const { disk } = offered.manifest;
    const asked = server.requests.filter((request) => request.includes(disk.name));
    expect(asked).toEqual(
      [
        [0, 131071],
        [262144, 331775],
      ].map(([from, to]) => `/${disk.sha256}/${disk.name} bytes=${from}-${to}`),
    );
  });

  it('goes on with the chunks of its disk that an earlier run did not get', async () => {
    const { disk } = offered.manifest;
    await expect(breakingOff(disk, 70_000)).rejects.toMatchObject({
      reason: 'download-failed',
      message: expect.stringContaining('goes on from there') as string,
    });
    expect(findGuestSet(target)).toBeNull();
    server.requests.length = 0;
    await download();
    expect(server.requests.filter((request) => request.includes('bytes='))[0]).toBe(`/${disk.sha256}/${disk.name} bytes=65536-131071`);
    expect(server.requests.some((request) => request.includes('bios.bin'))).toBe(false);
    expect(findGuestSet(target)?.manifest).toEqual(offered.manifest);
  });

  it('comes whole from a server without Range, too', async () => {
    server.ranges = false;
    const { disk } = offered.manifest;
    await expect(breakingOff(disk, 100_000)).rejects.toMatchObject({ reason: 'download-failed' });
    await download();
    expect(readFileSync(artefactPath(target, disk)).equals(readFileSync(artefactPath(offered.directory, disk)))).toBe(true);
    expect(readdirSync(join(target, disk.sha256))).toEqual([disk.name]);
  });

  const isWhole = (): void => {
    expect(findGuestSet(target)?.manifest).toEqual(offered.manifest);
    for (const artefact of artefactsOf(offered.manifest)) {
      expect(readFileSync(artefactPath(target, artefact)).equals(readFileSync(artefactPath(offered.directory, artefact)))).toBe(true);
      expect(readdirSync(join(target, artefact.sha256))).toEqual([artefact.name]);
    }
  };

  it.each(['wrong', 'unsaid'] as const)(
    'comes whole from a server whose answers to Range requests are %s, also behind a part of an earlier run',
    async (ranges) => {
      const { snapshot, disk } = offered.manifest;
      await expect(breakingOff(disk, 70_000)).rejects.toMatchObject({ reason: 'download-failed' });
      rmSync(artefactPath(target, snapshot));
      await expect(breakingOff(snapshot, 3)).rejects.toMatchObject({ message: expect.stringContaining('3 of 8 bytes') as string });
      server.ranges = ranges;
      await download();
      isWhole();
    },
  );

  it('that is cut off by a server without Range says that all of it comes again, and then comes', async () => {
    const { disk, snapshot } = offered.manifest;
    server.ranges = false;
    await expect(breakingOff(snapshot, 3)).rejects.toMatchObject({
      message: expect.stringContaining('it goes on from there if the server knows Range requests') as string,
    });
    await expect(breakingOff(snapshot, 3)).rejects.toMatchObject({
      message: expect.stringMatching(/broke off after 3 of 8 bytes .*this server sends all of it again/) as string,
    });
    await expect(breakingOff(disk, 100_000)).rejects.toMatchObject({
      reason: 'download-failed',
      message: expect.stringMatching(/broke off after \d+ of .*this server sends all of it again/) as string,
    });
    await download();
    isWhole();
  });

  it('goes on behind what an earlier run has brought of any other file', async () => {
    const { snapshot } = offered.manifest;
    await expect(breakingOff(snapshot, 3)).rejects.toMatchObject({ reason: 'download-failed', message: expect.stringContaining('3 of 8 bytes') as string });
    server.requests.length = 0;
    await download();
    expect(server.requests).toContain(`/${snapshot.sha256}/${snapshot.name} bytes=3-`);
    expect(readFileSync(artefactPath(target, snapshot), 'utf8')).toBe('snapshot');
  });

  it('is refused when a file of it was altered, and what came is thrown away', async () => {
    const { snapshot } = offered.manifest;
    writeFileSync(artefactPath(offered.directory, snapshot), 'snapsh0t');
    await expect(download()).rejects.toMatchObject({ reason: 'digest-mismatch', message: expect.stringContaining('base.snapshot') as string });
    expect(existsSync(artefactPath(target, snapshot))).toBe(false);
    expect(findGuestSet(target)).toBeNull();
  });

  it('is refused when a file is longer than promised', async () => {
    writeFileSync(artefactPath(offered.directory, offered.manifest.bios), 'bios and more');
    await expect(download()).rejects.toMatchObject({ reason: 'digest-mismatch', message: expect.stringContaining('longer') as string });
  });

  it('is refused when it was made for another version of v86, with both named', async () => {
    writeFileSync(join(offered.directory, 'manifest.json'), JSON.stringify({ ...offered.manifest, v86Version: '0.5.1' }));
    await expect(download()).rejects.toMatchObject({ reason: 'version-mismatch', message: expect.stringMatching(/0\.5\.1,.*v86 0\./) as string });
  });

  it('is refused when the manifest is something else', async () => {
    writeFileSync(join(offered.directory, 'manifest.json'), '<html>');
    await expect(download()).rejects.toMatchObject({ reason: 'bad-manifest' });
    writeFileSync(join(offered.directory, 'manifest.json'), JSON.stringify({ ...offered.manifest, bios: { ...offered.manifest.bios, name: undefined } }));
    await expect(download()).rejects.toMatchObject({ reason: 'bad-manifest', message: expect.stringContaining('bios.name') as string });
  });

  it('is not found at a wrong address, and a file that is missing is named', async () => {
    await expect(downloadSet(`${server.origin}/elsewhere`, target, { print })).rejects.toMatchObject({
      reason: 'not-found',
      message: expect.stringContaining('/elsewhere/manifest.json') as string,
    });
    rmSync(artefactPath(offered.directory, offered.manifest.emulator));
    await expect(download()).rejects.toMatchObject({ reason: 'not-found', message: expect.stringContaining('emulator.wasm') as string });
  });

  it('cannot be loaded from a server that is not there', async () => {
    await server.close();
    await expect(download()).rejects.toMatchObject({ reason: 'download-failed', message: expect.stringContaining('ECONNREFUSED') as string });
  });

  it('does not replace the set there is until all of it has come', async () => {
    const old = await makeTinySet(target, join(folder, 'scratch'), { recipe: 'old' });
    rmSync(artefactPath(offered.directory, offered.manifest.snapshot));
    writeFileSync(
      join(offered.directory, 'manifest.json'),
      JSON.stringify({ ...offered.manifest, snapshot: { ...offered.manifest.snapshot, sha256: '0'.repeat(64) } }),
    );
    await expect(download()).rejects.toMatchObject({ reason: 'not-found' });
    expect(findGuestSet(target)?.manifest).toEqual(old.manifest);
  });
});
