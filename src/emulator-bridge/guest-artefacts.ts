/**
 * Loads the guest set from a server: the manifest, then every artefact it names. Size and SHA-256 of each artefact are
 * checked, and one that differs is refused. Works on a page and in a worker, also over plain http.
 */
import { createSHA256 } from 'hash-wasm';
import * as v from 'valibot';
import type { Clock } from '../shared/clock.ts';
import { fetchBounded, platformFetch, type Fetch } from './bounded-fetch.ts';
import { guestManifestSchema, type GuestArtefact, type GuestManifest } from './guest-manifest.ts';
import { openHttpDisk } from './http-disk.ts';
import type { BaseDisk, MachineParts } from './machine.ts';
import { MachineError } from './machine-error.ts';
import { systemClock } from '../shared/system-clock.ts';
import { V86_VERSION } from './v86-version.ts';

/** A manifest lists some hundred packages; this is far above. */
const MANIFEST_LIMIT_BYTES = 1024 * 1024;
/** Largest artefact that is loaded whole: a cap on what a damaged manifest can make a tab allocate. */
const ARTEFACT_LIMIT_BYTES = 256 * 1024 * 1024;

export interface GuestLoadProgress {
  readonly receivedBytes: number;
  /** Total bytes to load; the disk image is not included, it is read later as the guest needs it. */
  readonly totalBytes: number;
}

export interface GuestSetOptions {
  /** Absolute, or relative to the page; the artefacts lie beside it at `<sha256>/<name>`. */
  readonly manifestUrl: string;
  readonly fetch?: Fetch;
  readonly clock?: Clock;
  readonly onProgress?: (progress: GuestLoadProgress) => void;
}

/** Plain data: a page loads it once and posts it to the worker of every VM. */
export interface GuestSet {
  readonly manifest: GuestManifest;
  readonly parts: Omit<MachineParts, 'disk'>;
  /** For Machine.loadBaseSnapshot, as it is on the server. */
  readonly snapshot: Uint8Array;
  /** Where the disk image is read, and its chunks' SHA-256 digests. */
  readonly diskUrl: string;
  readonly chunkDigests: Uint8Array;
}

/** Opens a reader of the disk image, one for each machine; to be disposed with it. */
export function openGuestDisk(set: GuestSet, platform: Pick<GuestSetOptions, 'fetch' | 'clock'> = {}): BaseDisk {
  return openHttpDisk({
    url: set.diskUrl,
    byteLength: set.manifest.disk.bytes,
    chunkBytes: set.manifest.diskChunkBytes,
    chunkDigests: set.chunkDigests,
    fetch: platform.fetch ?? platformFetch,
    clock: platform.clock ?? systemClock,
  });
}

/** Rejects with MachineError, whose message names the artefact and the way out. */
export async function loadGuestSet(options: GuestSetOptions): Promise<GuestSet> {
  const fetch = options.fetch ?? platformFetch;
  const clock = options.clock ?? systemClock;
  const manifestUrl = new URL(options.manifestUrl, 'location' in globalThis ? globalThis.location.href : undefined).href;
  const manifest = await loadManifest(manifestUrl, fetch, clock);
  const wanted = [manifest.bios, manifest.vgaBios, manifest.emulator, manifest.diskChunks, manifest.snapshot] as const;
  const totalBytes = wanted.reduce((sum, artefact) => sum + artefact.bytes, 0);
  let receivedBytes = 0;
  options.onProgress?.({ receivedBytes, totalBytes });
  const onBytes = (received: number): void => {
    receivedBytes += received;
    options.onProgress?.({ receivedBytes, totalBytes });
  };
  // One that fails ends the others: half a guest set is of no use.
  const failed = new AbortController();
  const load = (artefact: GuestArtefact): Promise<Uint8Array> =>
    loadArtefact({ artefact, url: artefactUrl(manifestUrl, artefact), fetch, clock, onBytes, signal: failed.signal }).catch((error: unknown) => {
      failed.abort(error);
      throw error;
    });
  const [bios, vgaBios, emulatorBytes, chunkDigests, snapshot] = await Promise.all([
    load(manifest.bios),
    load(manifest.vgaBios),
    load(manifest.emulator),
    load(manifest.diskChunks),
    load(manifest.snapshot),
  ]);
  const emulator = await compile(emulatorBytes, manifest.emulator);
  const set = {
    manifest,
    parts: { emulator, bios, vgaBios, memoryBytes: manifest.memoryBytes },
    snapshot,
    diskUrl: artefactUrl(manifestUrl, manifest.disk),
    chunkDigests,
  };
  // Digests that do not fit fail here, not later when the guest reads its disk.
  openGuestDisk(set, { fetch, clock }).dispose();
  return set;
}

/** Where an artefact lies: `<manifest's directory>/<sha256>/<name>`. */
function artefactUrl(manifestUrl: string, artefact: GuestArtefact): string {
  return new URL(`${artefact.sha256}/${encodeURIComponent(artefact.name)}`, manifestUrl).href;
}

async function loadManifest(url: string, fetch: Fetch, clock: Clock): Promise<GuestManifest> {
  const bytes = await fetchBounded({
    fetch,
    clock,
    url,
    // The manifest decides what everything else must be, so a cached copy is always revalidated.
    cache: 'no-cache',
    what: "The list of the guest's files",
    bytes: { atMost: MANIFEST_LIMIT_BYTES },
    codes: { unreachable: 'manifest-unreachable', silent: 'manifest-unreachable', wrongLength: 'manifest-invalid' },
    check: (response) => {
      if (response.ok) return;
      throw new MachineError(
        'manifest-unreachable',
        `The server has no guest at ${url} (status ${response.status}). Build it on the server with npm run guest, or start the server with --guest-url.`,
      );
    },
  });
  const manifest = v.safeParse(guestManifestSchema, parseJson(bytes));
  if (!manifest.success) {
    const issue = manifest.issues[0];
    throw new MachineError(
      'manifest-invalid',
      `The list of the guest's files at ${url} is not valid: ${v.getDotPath(issue) ?? 'it'}: ${issue.message}. Build the guest again with this version of TabMotion.`,
    );
  }
  if (manifest.output.v86Version !== V86_VERSION) {
    throw new MachineError(
      'emulator-version',
      `The guest at ${url} was made for v86 ${manifest.output.v86Version}, this page has v86 ${V86_VERSION}. Build the guest again on the server (npm run guest), then load the page again.`,
    );
  }
  return manifest.output;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    return null;
  }
}

interface ArtefactRequest {
  readonly artefact: GuestArtefact;
  readonly url: string;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly onBytes: (received: number) => void;
  readonly signal: AbortSignal;
}

async function loadArtefact(request: ArtefactRequest): Promise<Uint8Array> {
  const { artefact, url } = request;
  const what = `The guest's file "${artefact.name}"`;
  if (artefact.bytes > ARTEFACT_LIMIT_BYTES) {
    throw new MachineError(
      'manifest-invalid',
      `${what} has ${artefact.bytes} bytes according to the manifest; no such file has more than ${ARTEFACT_LIMIT_BYTES}. Build the guest again.`,
    );
  }
  const bytes = await fetchBounded({
    fetch: request.fetch,
    clock: request.clock,
    url,
    what,
    bytes: { exactly: artefact.bytes },
    codes: { unreachable: 'artefact-unreachable', silent: 'artefact-silent', wrongLength: 'artefact-altered' },
    check: (response) => {
      if (response.status === 200) return;
      throw new MachineError(
        'artefact-missing',
        `${what} is not at ${url} (status ${response.status}). Build the guest again on the server (npm run guest), then load the page again.`,
      );
    },
    onBytes: request.onBytes,
    signal: request.signal,
  });
  const hasher = await createSHA256();
  const digest = hasher.init().update(bytes).digest('hex');
  if (digest !== artefact.sha256) {
    throw new MachineError(
      'artefact-altered',
      `${what} was altered: its SHA-256 is ${digest}, the manifest promises ${artefact.sha256}. It is not used. Load the page again; if it stays, build the guest again on the server (npm run guest).`,
    );
  }
  return bytes;
}

async function compile(bytes: Uint8Array, artefact: GuestArtefact): Promise<WebAssembly.Module> {
  try {
    // A copy only when the bytes sit on shared memory, which the compiler does not take.
    return await WebAssembly.compile(bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice());
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MachineError(
      'emulator-invalid',
      `The emulator "${artefact.name}" does not run in this browser: ${reason}. Use a current browser, or build the guest again.`,
      { cause: error },
    );
  }
}
