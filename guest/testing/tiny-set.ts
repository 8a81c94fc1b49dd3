import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GuestManifest } from '../../src/emulator-bridge/guest-manifest.ts';
import { V86_VERSION } from '../../src/emulator-bridge/v86-version.ts';
import { addArtefact, chunkDigests, DISK_CHUNK_BYTES, publish, type GuestSet } from '../guest-set.ts';

/** A set that is whole in form: small files of made-up content in `directory`. */
export async function makeTinySet(directory: string, scratch: string, change: Partial<GuestManifest> = {}): Promise<GuestSet> {
  mkdirSync(directory, { recursive: true });
  mkdirSync(scratch, { recursive: true });
  const put = (name: string, content: Uint8Array): string => {
    const file = join(scratch, name);
    writeFileSync(file, content);
    return file;
  };
  const disk = put('disk.img', tinyDisk());
  const manifest: GuestManifest = {
    format: 1,
    recipe: 'tiny',
    v86Version: V86_VERSION,
    memoryBytes: 134217728,
    bios: await addArtefact(directory, put('bios.bin', Buffer.from('bios'))),
    vgaBios: await addArtefact(directory, put('vgabios.bin', Buffer.from('vga bios'))),
    emulator: await addArtefact(directory, put('emulator.wasm', Buffer.from('emulator'))),
    disk: await addArtefact(directory, disk),
    diskChunks: await addArtefact(directory, put('disk.sha256s', chunkDigests(disk))),
    diskChunkBytes: DISK_CHUNK_BYTES,
    snapshot: await addArtefact(directory, put('base.snapshot', Buffer.from('snapshot'))),
    packages: [{ name: 'busybox-static', version: '1', licence: 'GPL-2', source: 'busybox 1' }],
    ...change,
  };
  return publish(directory, manifest, 'what it is made of\n');
}

/** Six chunks: two that are full, two that are empty, one full, and a short one. */
function tinyDisk(): Uint8Array {
  const disk = Uint8Array.from({ length: 5 * DISK_CHUNK_BYTES + 4096 }, (_, index) => (index >> 8) | 1);
  return disk.fill(0, 2 * DISK_CHUNK_BYTES, 4 * DISK_CHUNK_BYTES);
}
