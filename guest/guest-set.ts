/** A finished guest set on disk: `manifest.json`, `SOURCES`, and every artefact at `<sha256>/<name>`. */
import {
  closeSync,
  copyFileSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import * as v from 'valibot';
import { guestManifestSchema, type GuestArtefact, type GuestManifest } from '../src/emulator-bridge/guest-manifest.ts';
import { sha256, sha256OfFile } from './digest.ts';
import { GuestError } from './guest-error.ts';

/**
 * Unit of the disk's digests, and so the least that a tab fetches: small enough for a slow network, large enough that a
 * program loads in few requests (neighbouring chunks are requested together).
 */
export const DISK_CHUNK_BYTES = 64 * 1024;

/** The set as the server hands it out. */
export interface GuestSet {
  readonly directory: string;
  readonly manifest: GuestManifest;
  /** What may be served, at `<directory>/<sha256>/<name>`. */
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
}

export function artefactsOf(manifest: GuestManifest): GuestArtefact[] {
  return [manifest.bios, manifest.vgaBios, manifest.emulator, manifest.disk, manifest.diskChunks, manifest.snapshot];
}

export function artefactPath(directory: string, artefact: GuestArtefact): string {
  return join(directory, artefact.sha256, artefact.name);
}

/** Throws GuestError('bad-manifest') that says where `text` (from `where`) is wrong. */
export function parseManifest(text: string, where: string): GuestManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new GuestError(
      'bad-manifest',
      `${where} is not JSON. Is the address that of a guest set (a folder with manifest.json, made by "npm run guest -- --export DIR")?`,
    );
  }
  const parsed = v.safeParse(guestManifestSchema, json);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  throw new GuestError(
    'bad-manifest',
    `${where} is not a guest manifest that this version understands (${v.getDotPath(issue) ?? 'as a whole'}: ${issue.message}). Make the set again with the same version of TabMotion.`,
  );
}

/** The finished set in `directory`, or null if there is none or a file of it is missing or cut short. */
export function findGuestSet(directory: string): GuestSet | null {
  const file = join(directory, 'manifest.json');
  if (!existsSync(file) || !existsSync(join(directory, 'SOURCES'))) return null;
  let manifest: GuestManifest;
  try {
    manifest = parseManifest(readFileSync(file, 'utf8'), file);
  } catch {
    return null;
  }
  const whole = artefactsOf(manifest).every((artefact) => statSync(artefactPath(directory, artefact), { throwIfNoEntry: false })?.size === artefact.bytes);
  return whole ? guestSet(directory, manifest) : null;
}

function guestSet(directory: string, manifest: GuestManifest): GuestSet {
  return { directory, manifest, files: artefactsOf(manifest).map(({ name, sha256: digest }) => ({ name, sha256: digest })) };
}

/** Puts a file into the set under its digest and returns its record. The file stays too, as a link: it must not be changed later. */
export async function addArtefact(directory: string, file: string, name = basename(file)): Promise<GuestArtefact> {
  const artefact = { name, bytes: statSync(file).size, sha256: await sha256OfFile(file) };
  const target = artefactPath(directory, artefact);
  if (statSync(target, { throwIfNoEntry: false })?.size === artefact.bytes) return artefact;
  mkdirSync(join(directory, artefact.sha256), { recursive: true });
  const aside = `${target}.partial-${process.pid}`;
  rmSync(aside, { force: true });
  try {
    linkSync(file, aside);
  } catch {
    copyFileSync(file, aside, constants.COPYFILE_FICLONE);
  }
  renameSync(aside, target);
  return artefact;
}

/** SHA-256 of each chunk of a disk image, 32 bytes each, one after another. */
export function chunkDigests(diskFile: string): Uint8Array {
  const file = openSync(diskFile, 'r');
  try {
    const digests: Buffer[] = [];
    const buffer = Buffer.alloc(DISK_CHUNK_BYTES);
    for (let at = 0; ; at += DISK_CHUNK_BYTES) {
      const count = readSync(file, buffer, 0, DISK_CHUNK_BYTES, at);
      if (count === 0) break;
      digests.push(Buffer.from(sha256(buffer.subarray(0, count)), 'hex'));
    }
    return new Uint8Array(Buffer.concat(digests));
  } finally {
    closeSync(file);
  }
}

/** Makes the set the current one in a single step: a reader of the manifest finds everything it names. */
export function publish(directory: string, manifest: GuestManifest, sources: string): GuestSet {
  const previous = findGuestSet(directory);
  for (const [name, content] of [
    ['SOURCES', sources],
    ['manifest.json', `${JSON.stringify(manifest, null, 1)}\n`],
  ] as const) {
    const aside = join(directory, `${name}.partial-${process.pid}`);
    writeFileSync(aside, content);
    renameSync(aside, join(directory, name));
  }
  // The set before this one stays: pages that are open may still load from it.
  forgetOthers(directory, [manifest, ...(previous === null ? [] : [previous.manifest])]);
  return guestSet(directory, manifest);
}

/** Removes the files of earlier sets: nothing refers to them any more. */
function forgetOthers(directory: string, manifests: readonly GuestManifest[]): void {
  const current = new Set(manifests.flatMap(artefactsOf).map((artefact) => artefact.sha256));
  for (const entry of readdirSync(directory)) {
    if (/^[0-9a-f]{64}$/.test(entry) && !current.has(entry)) rmSync(join(directory, entry), { recursive: true, force: true });
  }
}
