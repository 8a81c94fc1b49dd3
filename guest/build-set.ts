/** The whole recipe: from Debian's packages to a published guest set. Loaded only when something has to be built. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rewriteEmulator } from '../src/emulator-bridge/build/rewrite-emulator.ts';
import type { GuestManifest } from '../src/emulator-bridge/guest-manifest.ts';
import { V86_VERSION } from '../src/emulator-bridge/v86-version.ts';
import { buildDisk } from './build-disk.ts';
import { digestOfFiles, filesBelow, sha256OfFile } from './digest.ts';
import { addArtefact, chunkDigests, DISK_CHUNK_BYTES, publish, type GuestSet } from './guest-set.ts';
import { packageRecords, sourcesText } from './packages/sources.ts';
import { progressLines, seconds } from './progress-lines.ts';
import { EMULATOR_SOURCES, SNAPSHOT_SOURCES } from './recipe-digest.ts';
import { makeSnapshot } from './snapshot/make-snapshot.ts';
import { StepRunner } from './step.ts';

/** Memory of the machine in the base snapshot. */
const MEMORY_BYTES = 128 * 1024 * 1024;

export interface BuildSetOptions {
  /** The checkout. */
  readonly root: string;
  /** Where the set goes. */
  readonly directory: string;
  /** Recorded in the manifest (recipe-digest.ts). */
  readonly recipe: string;
  readonly update: boolean;
  readonly print: (line: string) => void;
}

export async function buildSet({ root, directory, recipe, update, print }: BuildSetOptions): Promise<GuestSet> {
  const guestFolder = join(root, 'guest');
  const steps = new StepRunner(join(root, '.cache/guest-build'), progressLines(print));
  const disk = await buildDisk({ guestFolder, steps, update, log: print });

  const emulatorFolder = await steps.run('emulator', { sources: digestOfFiles(root, EMULATOR_SOURCES) }, ({ folder, report }) => {
    report('adding write tracking to the emulator');
    writeFileSync(join(folder, 'emulator.wasm'), rewriteEmulator(readFileSync(join(root, 'node_modules/v86/build/v86.wasm'))));
    return Promise.resolve();
  });
  const emulatorFile = join(emulatorFolder, 'emulator.wasm');

  const snapshotInputs = {
    disk: await sha256OfFile(disk.diskFile),
    bios: await sha256OfFile(disk.biosFile),
    vgaBios: await sha256OfFile(disk.vgaBiosFile),
    emulator: await sha256OfFile(emulatorFile),
    memory: String(MEMORY_BYTES),
    recipe: digestOfFiles(
      join(guestFolder, 'snapshot'),
      filesBelow(join(guestFolder, 'snapshot')).filter((name) => !name.endsWith('.test.ts')),
    ),
    sources: digestOfFiles(root, SNAPSHOT_SOURCES),
  };
  const snapshotFolder = await steps.run('snapshot', snapshotInputs, async ({ folder, report }) => {
    const parts = {
      emulator: await WebAssembly.compile(readFileSync(emulatorFile)),
      bios: new Uint8Array(readFileSync(disk.biosFile)),
      vgaBios: new Uint8Array(readFileSync(disk.vgaBiosFile)),
      memoryBytes: MEMORY_BYTES,
      diskFile: disk.diskFile,
    };
    const figures = await makeSnapshot(parts, folder, report);
    writeFileSync(join(folder, 'disk.sha256s'), chunkDigests(join(folder, 'disk.img')));
    print(`  booted in ${seconds(figures.bootMs)}, ${figures.usedPages} pages in use; the snapshot answers ${seconds(figures.restoreMs)} after it is loaded`);
  });

  const packages = packageRecords(disk.packages, disk.documentFolders);
  const manifest: GuestManifest = {
    format: 1,
    recipe,
    v86Version: V86_VERSION,
    memoryBytes: MEMORY_BYTES,
    bios: await addArtefact(directory, disk.biosFile),
    vgaBios: await addArtefact(directory, disk.vgaBiosFile, 'vgabios.bin'),
    emulator: await addArtefact(directory, emulatorFile),
    disk: await addArtefact(directory, join(snapshotFolder, 'disk.img')),
    diskChunks: await addArtefact(directory, join(snapshotFolder, 'disk.sha256s')),
    diskChunkBytes: DISK_CHUNK_BYTES,
    snapshot: await addArtefact(directory, join(snapshotFolder, 'base.snapshot')),
    packages,
  };
  return publish(directory, manifest, sourcesText(packages));
}
