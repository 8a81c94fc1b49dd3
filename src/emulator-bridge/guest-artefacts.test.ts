import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Fetch } from './bounded-fetch.ts';
import { loadGuestSet, openGuestDisk, type GuestLoadProgress, type GuestSet } from './guest-artefacts.ts';
import type { GuestArtefact, GuestManifest } from './guest-manifest.ts';
import { MachineError } from './machine-error.ts';
import { ManualClock } from './testing/manual-clock.ts';
import { V86_VERSION } from './v86-version.ts';

const MANIFEST_URL = 'http://server/guest/manifest.json';
/** The smallest WebAssembly module: magic and version. */
const EMPTY_MODULE = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A web server in memory with a guest set. */
function setUp() {
  const files = new Map<string, Uint8Array>();
  const add = (name: string, content: Uint8Array): GuestArtefact => {
    const digest = sha256(content);
    files.set(`http://server/guest/${digest}/${encodeURIComponent(name)}`, content);
    return { name, bytes: content.length, sha256: digest };
  };
  const disk = new Uint8Array(3 * 4096).fill(7);
  const digests = Buffer.concat(
    [0, 1].map((chunk) =>
      createHash('sha256')
        .update(disk.subarray(chunk * 8192, (chunk + 1) * 8192))
        .digest(),
    ),
  );
  const manifest: GuestManifest = {
    format: 1,
    recipe: '1',
    v86Version: V86_VERSION,
    memoryBytes: 128 * 2 ** 20,
    bios: add('bios.bin', new Uint8Array(1000).fill(1)),
    vgaBios: add('vgabios stdvga.bin', new Uint8Array(500).fill(2)),
    emulator: add('v86.wasm', EMPTY_MODULE),
    disk: add('disk.img', disk),
    diskChunks: add('disk.chunks', digests),
    diskChunkBytes: 8192,
    snapshot: add('base.snapshot', new Uint8Array(2000).fill(3)),
    packages: [{ name: 'linux', version: '6.1', licence: 'GPL-2', source: 'linux_6.1.dsc' }],
  };
  const answers = new Map<string, () => Response>();
  const fetch: Fetch = (url, init) => {
    const special = answers.get(url);
    if (special !== undefined) return Promise.resolve(special());
    const content = url === MANIFEST_URL ? new TextEncoder().encode(JSON.stringify(manifest)) : files.get(url);
    if (content === undefined) return Promise.resolve(new Response('no', { status: 404 }));
    const range = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get('Range') ?? '');
    if (range === null) return Promise.resolve(new Response(content.slice()));
    return Promise.resolve(new Response(content.slice(Number(range[1]), Number(range[2]) + 1), { status: 206 }));
  };
  const urlOf = (artefact: GuestArtefact): string => `http://server/guest/${artefact.sha256}/${encodeURIComponent(artefact.name)}`;
  const clock = new ManualClock();
  const begin = (onProgress?: (progress: GuestLoadProgress) => void) => loadGuestSet({ manifestUrl: MANIFEST_URL, fetch, clock, onProgress });
  const load = (onProgress?: (progress: GuestLoadProgress) => void): Promise<GuestSet> => begin(onProgress).whole;
  return { manifest, answers, urlOf, fetch, clock, begin, load, disk };
}

async function refusal(loading: Promise<unknown>): Promise<MachineError> {
  const error: unknown = await loading.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MachineError);
  return error as MachineError;
}

describe('loadGuestSet', () => {
  it("loads every artefact from its digest's place, compiles the emulator, and its disk can be read", async () => {
    const { load, manifest, disk, fetch, clock } = setUp();
    const set = await load();
    expect(set.manifest).toEqual(manifest);
    expect(set.parts.bios).toEqual(new Uint8Array(1000).fill(1));
    expect(set.parts.vgaBios).toEqual(new Uint8Array(500).fill(2));
    expect(set.parts.memoryBytes).toBe(128 * 2 ** 20);
    expect(set.parts.emulator).toBeInstanceOf(WebAssembly.Module);
    expect(new Uint8Array(await set.snapshot.arrayBuffer())).toEqual(new Uint8Array(2000).fill(3));
    const base = openGuestDisk(set, { fetch, clock });
    expect(base.byteLength).toBe(disk.length);
    expect(await base.read(8000, 4000)).toEqual(disk.slice(8000, 12000));
    expect(clock.pending).toBe(0);
  });

  it('reports its progress in bytes, up to the whole', async () => {
    const { load } = setUp();
    const seen: GuestLoadProgress[] = [];
    await load((progress) => seen.push(progress));
    const total = 1000 + 500 + 8 + 64 + 2000;
    expect(seen[0]).toEqual({ receivedBytes: 0, totalBytes: total });
    expect(seen.at(-1)).toEqual({ receivedBytes: total, totalBytes: total });
    for (let at = 1; at < seen.length; at++) expect(seen[at]!.receivedBytes).toBeGreaterThan(seen[at - 1]!.receivedBytes);
  });

  it('says how to get a guest when there is none', async () => {
    const { load, answers } = setUp();
    answers.set(MANIFEST_URL, () => new Response('no', { status: 404 }));
    const error = await refusal(load());
    expect(error.code).toBe('manifest-unreachable');
    expect(error.message).toMatch(/status 404\)\. Build it on the server with npm run guest/);
  });

  it('refuses a manifest that is not one, naming the field', async () => {
    const { load, answers, manifest } = setUp();
    answers.set(MANIFEST_URL, () => new Response('<html>'));
    expect((await refusal(load())).code).toBe('manifest-invalid');
    answers.set(MANIFEST_URL, () => new Response(JSON.stringify({ ...manifest, bios: { ...manifest.bios, sha256: 'x' } })));
    expect((await refusal(load())).message).toMatch(/bios\.sha256/);
    answers.set(MANIFEST_URL, () => new Response(new Uint8Array(2 * 2 ** 20)));
    expect((await refusal(load())).code).toBe('manifest-invalid');
  });

  it('refuses a guest made for another v86, naming both versions', async () => {
    const { load, answers, manifest } = setUp();
    answers.set(MANIFEST_URL, () => new Response(JSON.stringify({ ...manifest, v86Version: '0.5.1' })));
    const error = await refusal(load());
    expect(error.code).toBe('emulator-version');
    expect(error.message).toContain(`v86 0.5.1, this page has v86 ${V86_VERSION}`);
  });

  it('refuses a missing, altered, shortened or prolonged artefact, naming it and the way out', async () => {
    const { load, answers, manifest, urlOf } = setUp();
    const url = urlOf(manifest.snapshot);
    answers.set(url, () => new Response('gone', { status: 404 }));
    let error = await refusal(load());
    expect(error.code).toBe('artefact-missing');
    expect(error.message).toMatch(/"base\.snapshot".*npm run guest/);
    for (const [content, pattern] of [
      [new Uint8Array(2000).fill(4), /was altered: its SHA-256 is [0-9a-f]{64}/],
      [new Uint8Array(1999).fill(3), /sent 1999 instead of 2000 bytes/],
      [new Uint8Array(2001).fill(3), /sent more instead of 2000 bytes/],
    ] as const) {
      answers.set(url, () => new Response(content.slice()));
      error = await refusal(load());
      expect(error.code).toBe('artefact-altered');
      expect(error.message).toMatch(pattern);
      expect(error.message).toContain('base.snapshot');
    }
  });

  it('refuses an emulator that is no WebAssembly, and digests that do not fit the disk', async () => {
    const { load, answers, manifest } = setUp();
    const text = new TextEncoder().encode('not wasm');
    const other = { name: 'v86.wasm', bytes: text.length, sha256: sha256(text) };
    answers.set(`http://server/guest/${other.sha256}/v86.wasm`, () => new Response(text.slice()));
    answers.set(MANIFEST_URL, () => new Response(JSON.stringify({ ...manifest, emulator: other })));
    expect((await refusal(load())).code).toBe('emulator-invalid');
    answers.set(MANIFEST_URL, () => new Response(JSON.stringify({ ...manifest, diskChunkBytes: 4096 })));
    expect((await refusal(load())).message).toMatch(/needs 3 digests, not 2/);
  });

  it('gives up on a server that goes silent', async () => {
    const { load, answers, manifest, urlOf, clock } = setUp();
    answers.set(urlOf(manifest.bios), () => new Response(new ReadableStream({ start: () => undefined })));
    const loading = refusal(load());
    for (let second = 0; second < 12; second++) await clock.advance(1000);
    const error = await loading;
    expect(error.code).toBe('artefact-silent');
    expect(error.message).toContain('bios.bin');
    expect(clock.pending).toBe(0);
  });

  it('is made for exactly the v86 that package.json pins', async () => {
    const project = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as { dependencies: Record<string, string> };
    expect(project.dependencies['v86']).toBe(V86_VERSION);
  });
});
