/** A finished guest set from any web server: everything is checked against the manifest, and what came is kept. */
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestArtefact } from '../src/emulator-bridge/guest-manifest.ts';
import { V86_VERSION } from '../src/emulator-bridge/v86-version.ts';
import { sha256OfFile } from './digest.ts';
import { GuestError } from './guest-error.ts';
import { artefactPath, artefactsOf, findGuestSet, parseManifest, publish, type GuestSet } from './guest-set.ts';
import { progressLines } from './progress-lines.ts';

/** A server that sends nothing for this long is given up on; the next run goes on where this one ended. */
const SILENCE_LIMIT_MS = 20_000;
/** A manifest lists a few packages; a larger answer is something else. */
const MAX_TEXT_BYTES = 1024 * 1024;

export interface DownloadOptions {
  readonly print: (line: string) => void;
  readonly fetch?: typeof fetch;
}

/**
 * Brings the set at `url` (the folder that holds manifest.json) into `directory` and publishes it there. Rejects with
 * GuestError: 'not-found', 'download-failed', 'digest-mismatch', 'version-mismatch' or 'bad-manifest'.
 */
export async function downloadSet(url: string, directory: string, options: DownloadOptions): Promise<GuestSet> {
  const base = url.endsWith('/') ? url : `${url}/`;
  const get = options.fetch ?? fetch;
  const manifestText = await text(new URL('manifest.json', base), get);
  const manifest = parseManifest(manifestText, `${base}manifest.json`);
  if (manifest.v86Version !== V86_VERSION) {
    throw new GuestError('version-mismatch', `The guest set at ${base} was made for v86 ${manifest.v86Version}, this version of TabMotion has v86 ${V86_VERSION}. Make the set again with this version (npm run guest -- --export DIR), or use the version of TabMotion that made it.`);
  }
  const present = findGuestSet(directory);
  if (present !== null && JSON.stringify(present.manifest) === JSON.stringify(manifest)) return present;

  const report = progressLines(options.print);
  const artefacts = artefactsOf(manifest);
  const total = artefacts.reduce((sum, artefact) => sum + artefact.bytes, 0);
  const began = performance.now();
  let finished = 0;
  report({ step: 'download', state: 'working', text: base, fraction: 0, ms: 0 });
  for (const artefact of artefacts) {
    const progress = (received: number): void =>
      report({ step: 'download', state: 'working', text: artefact.name, fraction: (finished + received) / total, ms: performance.now() - began });
    await downloadArtefact(artefact, new URL(`${artefact.sha256}/${encodeURIComponent(artefact.name)}`, base), directory, get, progress);
    finished += artefact.bytes;
  }
  const sources = await text(new URL('SOURCES', base), get);
  report({ step: 'download', state: 'done', text: '', fraction: 1, ms: performance.now() - began });
  return publish(directory, manifest, sources);
}

/** Loads one file, going on behind what an earlier run has already brought. */
async function downloadArtefact(artefact: GuestArtefact, url: URL, directory: string, get: typeof fetch, progress: (received: number) => void): Promise<void> {
  const target = artefactPath(directory, artefact);
  if (sizeOf(target) === artefact.bytes && (await sha256OfFile(target)) === artefact.sha256) return;
  mkdirSync(join(directory, artefact.sha256), { recursive: true });
  const part = `${target}.part`;
  const there = sizeOf(part) ?? 0;
  const from = there < artefact.bytes ? there : 0;
  const { response, signal } = await request(url, from > 0 ? { Range: `bytes=${from}-` } : {}, get);
  // A server without Range sends everything again.
  await receive(response, signal, part, artefact, response.status === 206 ? from : 0, progress);
  const digest = await sha256OfFile(part);
  if (digest !== artefact.sha256) {
    rmSync(part, { force: true });
    throw new GuestError('digest-mismatch', `${url.href} is not what its manifest says (SHA-256 ${digest} instead of ${artefact.sha256}). It was thrown away; run the command again, and if it stays, make the set on the server again.`);
  }
  renameSync(part, target);
}

async function receive(response: Response, signal: SilenceSignal, part: string, artefact: GuestArtefact, from: number, progress: (received: number) => void): Promise<void> {
  let received = from;
  const file = await open(part, from > 0 ? 'a' : 'w');
  try {
    // Each piece is on disk before the next is asked for: what came before a failure is there the next time.
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      signal.alive();
      received += chunk.length;
      if (received > artefact.bytes) throw new GuestError('digest-mismatch', `${response.url} is longer than the ${artefact.bytes} bytes its manifest says. Make the set on the server again.`);
      await file.write(chunk);
      progress(received);
    }
  } catch (error) {
    if (error instanceof GuestError) {
      rmSync(part, { force: true });
      throw error;
    }
    throw new GuestError('download-failed', `${response.url} broke off after ${received} of ${artefact.bytes} bytes (${reasonOf(error)}). Run the command again: it goes on from there.`, { cause: error });
  } finally {
    signal.end();
    await file.close();
  }
  if (received !== artefact.bytes) {
    throw new GuestError('download-failed', `${response.url} ended after ${received} of ${artefact.bytes} bytes. Run the command again: it goes on from there.`);
  }
}

/** Aborts when nothing was heard for SILENCE_LIMIT_MS. */
interface SilenceSignal {
  readonly signal: AbortSignal;
  alive(): void;
  end(): void;
}

function silenceSignal(): SilenceSignal {
  const controller = new AbortController();
  const expire = (): void => controller.abort(new Error(`nothing came for ${SILENCE_LIMIT_MS / 1000} s`));
  let timer = setTimeout(expire, SILENCE_LIMIT_MS);
  return {
    signal: controller.signal,
    alive() {
      clearTimeout(timer);
      timer = setTimeout(expire, SILENCE_LIMIT_MS);
    },
    end: () => clearTimeout(timer),
  };
}

async function request(url: URL, headers: Record<string, string>, get: typeof fetch): Promise<{ response: Response; signal: SilenceSignal }> {
  const signal = silenceSignal();
  try {
    const response = await get(url, { headers, signal: signal.signal });
    if (response.ok) return { response, signal };
    signal.end();
    const hint = 'Is the address that of the folder with manifest.json, as "npm run guest -- --export DIR" writes it?';
    throw new GuestError(response.status === 404 ? 'not-found' : 'download-failed', `${url.href}: the web server answered ${response.status} ${response.statusText}. ${hint}`);
  } catch (error) {
    signal.end();
    if (error instanceof GuestError) throw error;
    throw new GuestError('download-failed', `${url.href} cannot be loaded: ${reasonOf(error)}. Check the address and the network, then run the command again.`, { cause: error });
  }
}

async function text(url: URL, get: typeof fetch): Promise<string> {
  const { response, signal } = await request(url, {}, get);
  try {
    const content = await response.text();
    if (content.length > MAX_TEXT_BYTES) throw new Error(`it has ${content.length} characters`);
    return content;
  } catch (error) {
    throw new GuestError('download-failed', `${url.href} cannot be loaded: ${reasonOf(error)}.`, { cause: error });
  } finally {
    signal.end();
  }
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** What went wrong, with the cause that fetch hides behind "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
