/** Builds the disk a second time, from the packages on, in another place, and compares. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildDisk } from './build-disk.ts';
import { sha256OfFile } from './digest.ts';
import { GuestError } from './guest-error.ts';
import { progressLines } from './progress-lines.ts';
import { StepRunner } from './step.ts';

const GUEST_FOLDER = fileURLToPath(new URL('.', import.meta.url));

/** Rejects with GuestError('unexpected-content') if the two builds differ. */
export async function checkReproducible(print: (line: string) => void): Promise<void> {
  const digest = async (folder: string): Promise<string> => {
    const build = await buildDisk({ guestFolder: GUEST_FOLDER, steps: new StepRunner(folder, progressLines(print)), log: print });
    return sha256OfFile(build.diskFile);
  };
  const here = join(GUEST_FOLDER, '../.cache/guest-build');
  const first = await digest(here);
  const elsewhere = mkdtempSync(join(tmpdir(), 'tabmotion-guest-'));
  try {
    // The same versions: newer ones would rightly give another disk.
    cpSync(join(here, 'versions'), join(elsewhere, 'versions'), { recursive: true });
    print('Building the disk again, elsewhere.');
    const second = await digest(elsewhere);
    if (first !== second) throw new GuestError('unexpected-content', `The two disks differ: SHA-256 ${first} and ${second}.`);
    print(`Both disks are the same: SHA-256 ${first}.`);
  } finally {
    rmSync(elsewhere, { recursive: true, force: true });
  }
}
