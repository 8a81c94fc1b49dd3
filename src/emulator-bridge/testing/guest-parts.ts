/** The parts of a machine out of the guest set that `npm run guest` has built. Node only. */
import { existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { guestManifestSchema, type GuestArtefact, type GuestManifest } from '../guest-manifest.ts';
import type { BaseDisk, MachineParts } from '../machine.ts';

/** Where `npm run guest` leaves it. */
export const GUEST_SET = fileURLToPath(new URL('../../../.cache/guest', import.meta.url));

export interface GuestParts {
  readonly manifest: GuestManifest;
  readonly snapshot: Uint8Array;
  /** The rewritten v86.wasm. */
  readonly emulator: Uint8Array;
  /** Fresh parts for one machine; `emulator` replaces the rewritten v86.wasm. */
  machineParts(emulator?: WebAssembly.Module): MachineParts;
}

/** The guest set, or null if there is none: tests that need a guest are skipped then ("npm run guest" makes one). */
export function loadGuestParts(directory = GUEST_SET): GuestParts | null {
  const manifestFile = join(directory, 'manifest.json');
  if (!existsSync(manifestFile)) return null;
  const manifest = v.parse(guestManifestSchema, JSON.parse(readFileSync(manifestFile, 'utf8')));
  const path = (artefact: GuestArtefact): string => join(directory, artefact.sha256, artefact.name);
  const read = (artefact: GuestArtefact): Uint8Array => new Uint8Array(readFileSync(path(artefact)));
  const bios = read(manifest.bios);
  const vgaBios = read(manifest.vgaBios);
  const emulatorBytes = read(manifest.emulator);
  // Opened now, because rebuilding the guest later replaces the files.
  const disk = fileDisk(path(manifest.disk), manifest.disk.bytes, manifest.diskChunkBytes);
  let module: WebAssembly.Module | null = null;
  return {
    manifest,
    snapshot: read(manifest.snapshot),
    emulator: emulatorBytes,
    machineParts: (emulator) => ({
      emulator: emulator ?? (module ??= new WebAssembly.Module(emulatorBytes as Uint8Array<ArrayBuffer>)),
      bios,
      vgaBios,
      memoryBytes: manifest.memoryBytes,
      disk,
    }),
  };
}

/** A disk image in a file, open until the process ends. Reads complete in a later task, as over the network. */
function fileDisk(file: string, byteLength: number, chunkBytes: number): BaseDisk {
  const handle = openSync(file, 'r');
  return {
    byteLength,
    chunkBytes,
    read(offset, length) {
      const bytes = new Uint8Array(length);
      readSync(handle, bytes, 0, length, offset);
      return new Promise((resolve) => setImmediate(() => resolve(bytes)));
    },
    dispose: () => undefined,
  };
}
