/** Makes sure that there is a guest set to serve: keeps the one there is, builds one, or downloads one. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GuestManifest } from '../src/emulator-bridge/guest-manifest.ts';
import { V86_VERSION } from '../src/emulator-bridge/v86-version.ts';
import { withLock } from './build-lock.ts';
import { downloadSet } from './download-set.ts';
import { GuestError } from './guest-error.ts';
import { findGuestSet, type GuestSet } from './guest-set.ts';
import { seconds } from './progress-lines.ts';
import { recipeDigest } from './recipe-digest.ts';

export type { GuestSet } from './guest-set.ts';
export { GuestError } from './guest-error.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** In the folder of a downloaded set: the address that it came from. */
const ORIGIN_FILE = 'origin.txt';

export interface EnsureGuestOptions {
  /** One line of progress or news at a time. */
  readonly onProgress?: (line: string) => void;
  /** Take a finished set from this address instead of building one; null or absent: the environment variable TABMOTION_GUEST_URL, if set. */
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
  const environmentUrl = process.env['TABMOTION_GUEST_URL'];
  const url = options.guestUrl ?? (environmentUrl === undefined || environmentUrl === '' ? null : environmentUrl);
  const began = performance.now();
  mkdirSync(directory, { recursive: true });

  const locked = <T>(work: () => Promise<T>): Promise<T> =>
    withLock(join(root, '.cache/guest.lock'), (holder) => print(`Another process (${holder}) is making the guest; waiting for it.`), work);

  if (url !== null) {
    const set = await locked(() => downloaded(url, directory, print));
    print(`The guest is ready after ${seconds(performance.now() - began)}: ${describe(set.manifest)}.`);
    return set;
  }

  const recipe = recipeDigest(root);
  const present = findGuestSet(directory);
  if (present?.manifest.recipe === recipe && options.update !== true) {
    print('The guest is ready: nothing to do.');
    return present;
  }
  print('Building the guest (about a minute the first time; finished steps are kept).');
  // Imported only now: what building needs (the emulator, the tool that rewrites it) takes long to load.
  const { buildSet } = await import('./build-set.ts');
  try {
    const set = await locked(() => buildSet({ root, directory, recipe, update: options.update === true, print }));
    rmSync(join(directory, ORIGIN_FILE), { force: true });
    print(`The guest is ready after ${seconds(performance.now() - began)}: ${describe(set.manifest)}.`);
    return set;
  } catch (error) {
    // If this machine cannot build, we keep using a set that was downloaded earlier.
    if (!(error instanceof GuestError) || error.reason !== 'not-debian' || present?.manifest.v86Version !== V86_VERSION || origin(directory) === null)
      throw error;
    print(`The guest cannot be built on this machine; the one downloaded from ${origin(directory)} is used.`);
    return present;
  }
}

async function downloaded(url: string, directory: string, print: (line: string) => void): Promise<GuestSet> {
  try {
    const set = await downloadSet(url, directory, { print });
    writeFileSync(join(directory, ORIGIN_FILE), `${url}\n`);
    return set;
  } catch (error) {
    // Without a network (on a stage, in a train) the set that came from there earlier is as good.
    const present = findGuestSet(directory);
    if (!(error instanceof GuestError) || error.reason !== 'download-failed' || origin(directory) !== url || present?.manifest.v86Version !== V86_VERSION)
      throw error;
    print(`${error.message} The set that came from there earlier is used.`);
    return present;
  }
}

/** Where the set in `directory` was downloaded from; null if it was built here. */
function origin(directory: string): string | null {
  const file = join(directory, ORIGIN_FILE);
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : null;
}

function describe(manifest: GuestManifest): string {
  const mib = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
  return `snapshot ${mib(manifest.snapshot.bytes)} MiB, emulator ${mib(manifest.emulator.bytes)} MiB, disk ${mib(manifest.disk.bytes)} MiB (read as needed)`;
}
