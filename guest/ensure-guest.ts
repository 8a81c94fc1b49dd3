/** Makes sure that there is a guest set to serve: keeps the one there is, builds one, or downloads one. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rewriteEmulator } from '../src/emulator-bridge/build/rewrite-emulator.ts';
import type { GuestManifest } from '../src/emulator-bridge/guest-manifest.ts';
import { V86_VERSION } from '../src/emulator-bridge/v86-version.ts';
import { buildDisk } from './build-disk.ts';
import { digestOfFiles, filesBelow, sha256OfFile } from './digest.ts';
import { addArtefact, chunkDigests, DISK_CHUNK_BYTES, findGuestSet, publish, type GuestSet } from './guest-set.ts';
import { packageRecords, sourcesText } from './packages/sources.ts';
import { progressLines, seconds } from './progress-lines.ts';
import { EMULATOR_SOURCES, recipeDigest, SNAPSHOT_SOURCES } from './recipe-digest.ts';
import { makeSnapshot } from './snapshot/make-snapshot.ts';
import { StepRunner } from './step.ts';

export type { GuestSet } from './guest-set.ts';
export { GuestError } from './guest-error.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Memory of the machine in the base snapshot. */
const MEMORY_BYTES = 128 * 1024 * 1024;

export interface EnsureGuestOptions {
  /** One line of progress or news at a time. */
  readonly onProgress?: (line: string) => void;
  /** Take a finished set from this address instead of building one. */
  readonly guestUrl?: string | null;
  /** Ask the package sources for newer versions. */
  readonly update?: boolean;
  /** The checkout; its .cache/ holds the set. */
  readonly root?: string;
}

/** Resolves with the set, ready to be served. Rejects with GuestError, whose message says what to do. */
export async function ensureGuest(options: EnsureGuestOptions = {}): Promise<GuestSet> {
  const root = options.root ?? ROOT;
  const print = options.onProgress ?? (() => undefined);
  const directory = join(root, '.cache/guest');
  const recipe = recipeDigest(root);
  const present = findGuestSet(directory);
  if (present?.manifest.recipe === recipe && options.update !== true) {
    print('The guest is ready: nothing to do.');
    return present;
  }
  const began = performance.now();
  print('Building the guest (about a minute the first time; finished steps are kept).');
  mkdirSync(directory, { recursive: true });
  const set = await build(root, directory, recipe, options.update === true, print);
  print(`The guest is ready after ${seconds(performance.now() - began)}: ${describe(set.manifest)}.`);
  return set;
}

async function build(root: string, directory: string, recipe: string, update: boolean, print: (line: string) => void): Promise<GuestSet> {
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
    recipe: digestOfFiles(join(guestFolder, 'snapshot'), filesBelow(join(guestFolder, 'snapshot')).filter((name) => !name.endsWith('.test.ts'))),
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

function describe(manifest: GuestManifest): string {
  const mib = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
  return `snapshot ${mib(manifest.snapshot.bytes)} MiB, emulator ${mib(manifest.emulator.bytes)} MiB, disk ${mib(manifest.disk.bytes)} MiB (read as needed)`;
}
