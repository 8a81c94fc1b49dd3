/** Downloads a finished guest set from any web server: checks everything against the manifest, and keeps what has arrived. */
import { mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestArtefact, GuestManifest } from '../src/emulator-bridge/guest-manifest.ts';
import { V86_VERSION } from '../src/emulator-bridge/v86-version.ts';
import { sha256OfFile } from './digest.ts';
import { downloadDisk } from './download-disk.ts';
import { askFor, reasonOf, textFrom, type Fetch } from './fetch-file.ts';
import { GuestError } from './guest-error.ts';
import { artefactPath, artefactsOf, findGuestSet, parseManifest, publish, type GuestSet } from './guest-set.ts';
import { progressLines } from './progress-lines.ts';

/** A manifest lists a few packages; a larger answer is something else. */
const MAX_TEXT_BYTES = 1024 * 1024;

export interface DownloadOptions {
  readonly print: (line: string) => void;
  readonly fetch?: Fetch;
}

/**
 * Brings the set at `url` (the folder that holds manifest.json) into `directory` and publishes it there. Rejects with
 * GuestError: 'not-found', 'download-failed', 'digest-mismatch', 'version-mismatch' or 'bad-manifest'.
 */
export async function downloadSet(url: string, directory: string, options: DownloadOptions): Promise<GuestSet> {
  const base = url.endsWith('/') ? url : `${url}/`;
  const get = options.fetch ?? fetch;
  const manifest = parseManifest(await textFrom(new URL('manifest.json', base), get, MAX_TEXT_BYTES), `${base}manifest.json`);
  if (manifest.v86Version !== V86_VERSION) {
    throw new GuestError(
      'version-mismatch',
      `The guest set at ${base} was made for v86 ${manifest.v86Version}, this version of TabMotion has v86 ${V86_VERSION}. Make the set again with this version (npm run guest -- --export DIR), or use the version of TabMotion that made it.`,
    );
  }
  const present = findGuestSet(directory);
  if (present !== null && JSON.stringify(present.manifest) === JSON.stringify(manifest)) return present;

  const report = progressLines(options.print);
  const artefacts = artefactsOf(manifest);
  const total = artefacts.reduce((sum, artefact) => sum + artefact.bytes, 0);
  const began = performance.now();
  let finished = 0;
  report({ step: 'download', state: 'working', text: base, fraction: 0, ms: 0 });
  // The digests of the disk's chunks come before the disk.
  for (const artefact of artefacts.filter((entry) => entry !== manifest.disk).concat(manifest.disk)) {
    const progress = (received: number): void =>
      report({ step: 'download', state: 'working', text: artefact.name, fraction: (finished + received) / total, ms: performance.now() - began });
    await downloadArtefact(manifest, artefact, new URL(`${artefact.sha256}/${encodeURIComponent(artefact.name)}`, base), directory, get, progress);
    finished += artefact.bytes;
  }
  const sources = await textFrom(new URL('SOURCES', base), get, MAX_TEXT_BYTES);
  report({ step: 'download', state: 'done', text: '', fraction: 1, ms: performance.now() - began });
  return publish(directory, manifest, sources);
}

async function downloadArtefact(
  manifest: GuestManifest,
  artefact: GuestArtefact,
  url: URL,
  directory: string,
  get: Fetch,
  progress: (received: number) => void,
): Promise<void> {
  const target = artefactPath(directory, artefact);
  if (sizeOf(target) === artefact.bytes && (await sha256OfFile(target)) === artefact.sha256) return;
  mkdirSync(join(directory, artefact.sha256), { recursive: true });
  const part = `${target}.part`;
  const chunkDigests = artefact === manifest.disk ? readFileSync(artefactPath(directory, manifest.diskChunks)) : null;
  if (chunkDigests === null) {
    await downloadWhole(artefact, url, part, get, progress, true);
  } else if (!(await downloadDisk(manifest, chunkDigests, url, `${part}s`, get, progress))) {
    await downloadWhole(artefact, url, part, get, progress, false);
    rmSync(`${part}s`, { force: true });
  } else {
    renameSync(`${part}s`, part);
  }
  const digest = await sha256OfFile(part);
  if (digest !== artefact.sha256) {
    rmSync(part, { force: true });
    throw new GuestError(
      'digest-mismatch',
      `${url.href} is not what its manifest says (SHA-256 ${digest} instead of ${artefact.sha256}). It was thrown away; run the command again, and if it stays, make the set on the server again.`,
    );
  }
  renameSync(part, target);
}

/** Downloads one file from its beginning or, if the server may know Range requests, from where an earlier run stopped. */
async function downloadWhole(
  artefact: GuestArtefact,
  url: URL,
  part: string,
  get: Fetch,
  progress: (received: number) => void,
  mayKnowRange: boolean,
): Promise<void> {
  const there = sizeOf(part) ?? 0;
  const resumed = mayKnowRange && there > 0 && there < artefact.bytes;
  const first = await askFor(url, get, resumed ? { from: there } : undefined);
  if (first.what === 'other') first.drop();
  const answer = first.what === 'other' ? await askFor(url, get) : first;
  // A server without Range sends everything again.
  const from = answer.what === 'part' ? there : 0;
  const sendsAll = !mayKnowRange || (resumed && from === 0);
  const whatNext = `Run the command again${sendsAll ? '; this server sends all of it again.' : ': it goes on from there if the server knows Range requests.'}`;
  let received = from;
  const file = await open(part, from > 0 ? 'a' : 'w');
  try {
    // Each piece is on disk before we ask for the next: after a failure, the next run finds what has arrived.
    for await (const piece of answer.pieces) {
      received += piece.length;
      if (received > artefact.bytes) break;
      await file.write(piece);
      progress(received);
    }
  } catch (error) {
    throw new GuestError('download-failed', `${answer.url} broke off after ${received} of ${artefact.bytes} bytes (${reasonOf(error)}). ${whatNext}`, {
      cause: error,
    });
  } finally {
    await file.close();
  }
  if (received > artefact.bytes) {
    rmSync(part, { force: true });
    throw new GuestError('digest-mismatch', `${answer.url} is longer than the ${artefact.bytes} bytes its manifest says. Make the set on the server again.`);
  }
  if (received < artefact.bytes) throw new GuestError('download-failed', `${answer.url} ended after ${received} of ${artefact.bytes} bytes. ${whatNext}`);
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}
