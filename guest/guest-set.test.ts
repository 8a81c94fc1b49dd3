import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256 } from './digest.ts';
import { exportSet } from './export-set.ts';
import { addArtefact, artefactPath, artefactsOf, chunkDigests, DISK_CHUNK_BYTES, findGuestSet, parseManifest } from './guest-set.ts';
import { makeTinySet } from './testing/tiny-set.ts';

describe('a guest set on disk', () => {
  let folder: string;
  let directory: string;
  const scratch = (): string => join(folder, 'scratch');

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'set-'));
    directory = join(folder, 'set');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is found again when it is whole', async () => {
    const set = await makeTinySet(directory, scratch());
    expect(findGuestSet(directory)).toEqual(set);
    expect(set.files).toHaveLength(6);
    for (const file of set.files) expect(existsSync(join(directory, file.sha256, file.name))).toBe(true);
  });

  it('counts as absent when a file is missing, cut short, or the manifest cannot be read', async () => {
    expect(findGuestSet(directory)).toBeNull();
    const set = await makeTinySet(directory, scratch());
    const disk = artefactPath(directory, set.manifest.disk);
    truncateSync(disk, 100);
    expect(findGuestSet(directory)).toBeNull();
    rmSync(disk);
    expect(findGuestSet(directory)).toBeNull();
    await makeTinySet(directory, scratch());
    writeFileSync(join(directory, 'manifest.json'), '{"format":2}');
    expect(findGuestSet(directory)).toBeNull();
  });

  it('keeps the set before it for pages that are open, and no older one', async () => {
    const bios = async (version: string): Promise<string> => {
      writeFileSync(join(folder, version), version);
      const record = await addArtefact(directory, join(folder, version), 'bios.bin');
      await makeTinySet(directory, scratch(), { recipe: version, bios: record });
      return record.sha256;
    };
    await makeTinySet(directory, scratch());
    const [first, second, third] = [await bios('first'), await bios('second'), await bios('third')];
    expect([first, second, third].map((digest) => existsSync(join(directory, digest)))).toEqual([false, true, true]);
  });

  it('has a digest for each chunk of its disk, the short last one too', () => {
    const file = join(folder, 'disk');
    const content = Buffer.alloc(DISK_CHUNK_BYTES + 100, 7);
    writeFileSync(file, content);
    const digests = Buffer.from(chunkDigests(file)).toString('hex');
    expect(digests).toBe(sha256(content.subarray(0, DISK_CHUNK_BYTES)) + sha256(content.subarray(DISK_CHUNK_BYTES)));
  });

  it('is exported as files that any web server can hand out, and not over something else', async () => {
    const set = await makeTinySet(directory, scratch());
    const target = join(folder, 'public/guest');
    exportSet(set, target);
    expect(findGuestSet(target)?.manifest).toEqual(set.manifest);
    expect(readdirSync(target)).toHaveLength(2 + new Set(artefactsOf(set.manifest).map((artefact) => artefact.sha256)).size);
    exportSet(set, target);
    writeFileSync(join(target, 'thesis.txt'), 'ten years of work');
    expect(() => exportSet(set, target)).toThrow('thesis.txt');
  });

  it('has a manifest whose faults are named with their place', async () => {
    const { manifest } = await makeTinySet(directory, scratch());
    expect(parseManifest(JSON.stringify(manifest), 'here')).toEqual(manifest);
    expect(() => parseManifest('no json', 'http://host/manifest.json')).toThrow('http://host/manifest.json is not JSON');
    expect(() => parseManifest(JSON.stringify({ ...manifest, disk: { ...manifest.disk, sha256: 'ABC' } }), 'here')).toThrow('disk.sha256');
  });
});
