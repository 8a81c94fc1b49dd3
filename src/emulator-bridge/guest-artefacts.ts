/**
 * Loads the guest set from a server: the manifest, then every artefact it names. Size and SHA-256 of each artefact are
 * checked, and one that differs is refused. Works on a page and in a worker, also over plain http.
 */
import * as v from 'valibot';
import type { Clock } from '../shared/clock.ts';
import { BaseSnapshotDecoder, decodeBaseSnapshot, type BaseSnapshot } from './base-snapshot.ts';
import { fetchBounded, platformFetch, type Fetch } from './bounded-fetch.ts';
import { guestManifestSchema, type GuestArtefact, type GuestManifest } from './guest-manifest.ts';
import { openHttpDisk } from './http-disk.ts';
import type { BaseDisk, MachineParts } from './machine.ts';
import { MachineError } from './machine-error.ts';
import { systemClock } from '../shared/system-clock.ts';
import { createCompressor } from './page-codec-engines.ts';
import { hex } from '../shared/hex.ts';
import { sha256 } from './sha256.ts';
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

/** What a machine is built from. Plain data, which a page and its workers post to each other. */
export interface PcParts {
  readonly manifest: GuestManifest;
  readonly parts: Omit<MachineParts, 'disk'>;
  /** Where the disk image is read, and its chunks' SHA-256 digests. */
  readonly diskUrl: string;
  readonly chunkDigests: Uint8Array;
}

export interface GuestSet extends PcParts {
  /** For Machine.loadBaseSnapshot, as it is on the server. A Blob is posted without a copy. */
  readonly snapshot: Blob;
}

/** A guest set that is being loaded. The promises reject with MachineError, whose message names the artefact and the way out. */
export interface LoadingGuest {
  /** Resolves first: the base snapshot is most of the bytes. */
  readonly pc: Promise<PcParts>;
  readonly base: Promise<BaseSnapshot>;
  readonly whole: Promise<GuestSet>;
}

/** Opens a reader of the disk image, one for each machine; to be disposed with it. */
export function openGuestDisk(pc: PcParts, platform: Pick<GuestSetOptions, 'fetch' | 'clock'> = {}): BaseDisk {
  return openHttpDisk({
    url: pc.diskUrl,
    byteLength: pc.manifest.disk.bytes,
    chunkBytes: pc.manifest.diskChunkBytes,
    chunkDigests: pc.chunkDigests,
    fetch: platform.fetch ?? platformFetch,
    clock: platform.clock ?? systemClock,
  });
}

/** Unpacks a guest set that has been loaded, in this worker or in another one. */
export function openGuestSet(guest: GuestSet): LoadingGuest {
  const base = guest.snapshot.arrayBuffer().then((bytes) => decodeBaseSnapshot(new Uint8Array(bytes)));
  base.catch(() => undefined);
  return { pc: Promise.resolve(guest), base, whole: Promise.resolve(guest) };
}

/** Begins to load the guest set. */
export function loadGuestSet(options: GuestSetOptions): LoadingGuest {
  const fetch = options.fetch ?? platformFetch;
  const clock = options.clock ?? systemClock;
  const manifestUrl = new URL(options.manifestUrl, 'location' in globalThis ? globalThis.location.href : undefined).href;
  // One artefact that fails ends the others: half a guest set is of no use.
  const failed = new AbortController();
  const loading = loadManifest(manifestUrl, fetch, clock).then((manifest) => {
    const count = countBytes(manifest, options.onProgress);
    const load = (artefact: GuestArtefact, onPiece?: (piece: Uint8Array) => void): Promise<Uint8Array<ArrayBuffer>> =>
      loadArtefact({
        artefact,
        url: artefactUrl(manifestUrl, artefact),
        fetch,
        clock,
        onPiece(piece) {
          count(piece);
          onPiece?.(piece);
        },
        signal: failed.signal,
      }).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      });
    const others = Promise.all([
      load(manifest.bios),
      load(manifest.vgaBios),
      load(manifest.diskChunks),
      load(manifest.emulator).then((bytes) => compile(bytes, manifest.emulator)),
    ]);
    return { manifest, others, snapshot: loadSnapshot((onPiece) => load(manifest.snapshot, onPiece)) };
  });
  const pc = loading.then(async ({ manifest, others }): Promise<PcParts> => {
    const [bios, vgaBios, chunkDigests, emulator] = await others;
    const parts = {
      manifest,
      parts: { emulator, bios, vgaBios, memoryBytes: manifest.memoryBytes },
      diskUrl: artefactUrl(manifestUrl, manifest.disk),
      chunkDigests,
    };
    // Digests that do not fit fail here, not later when the guest reads its disk.
    openGuestDisk(parts, { fetch, clock }).dispose();
    return parts;
  });
  const snapshot = loading.then((begun) => begun.snapshot);
  const base = snapshot.then(({ decoder }) => decoder.finish());
  const whole = Promise.all([pc, snapshot]).then(([parts, { bytes }]): GuestSet => ({ ...parts, snapshot: new Blob([bytes]) }));
  for (const promise of [pc, base, whole]) promise.catch(() => undefined);
  return { pc, base, whole };
}

/** The base snapshot is unpacked while it comes. Nothing uses it before its digest was found to be right. */
async function loadSnapshot(
  load: (onPiece: (piece: Uint8Array) => void) => Promise<Uint8Array<ArrayBuffer>>,
): Promise<{ bytes: Uint8Array<ArrayBuffer>; decoder: BaseSnapshotDecoder }> {
  const decoding = createCompressor().then((compressor) => new BaseSnapshotDecoder(compressor));
  decoding.catch(() => undefined);
  const bytes = await load((piece) => void decoding.then((decoder) => decoder.push(piece)).catch(() => undefined));
  return { bytes, decoder: await decoding };
}

/** Returns what counts the pieces of all artefacts. */
function countBytes(manifest: GuestManifest, onProgress: GuestSetOptions['onProgress']): (piece: Uint8Array) => void {
  const wanted = [manifest.bios, manifest.vgaBios, manifest.emulator, manifest.diskChunks, manifest.snapshot] as const;
  const totalBytes = wanted.reduce((sum, artefact) => sum + artefact.bytes, 0);
  let receivedBytes = 0;
  onProgress?.({ receivedBytes, totalBytes });
  return ({ length }) => {
    receivedBytes += length;
    onProgress?.({ receivedBytes, totalBytes });
  };
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
  readonly onPiece: (piece: Uint8Array) => void;
  readonly signal: AbortSignal;
}

async function loadArtefact(request: ArtefactRequest): Promise<Uint8Array<ArrayBuffer>> {
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
    onPiece: request.onPiece,
    signal: request.signal,
  });
  const digest = hex(await sha256(bytes));
  if (digest !== artefact.sha256) {
    throw new MachineError(
      'artefact-altered',
      `${what} was altered: its SHA-256 is ${digest}, the manifest promises ${artefact.sha256}. It is not used. Load the page again; if it stays, build the guest again on the server (npm run guest).`,
    );
  }
  return bytes;
}

async function compile(bytes: Uint8Array<ArrayBuffer>, artefact: GuestArtefact): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MachineError(
      'emulator-invalid',
      `The emulator "${artefact.name}" does not run in this browser: ${reason}. Use a current browser, or build the guest again.`,
      { cause: error },
    );
  }
}
