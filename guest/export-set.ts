import { copyFileSync, constants, mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { GuestError } from './guest-error.ts';
import { artefactPath, artefactsOf, type GuestSet } from './guest-set.ts';

/**
 * Copies a finished set into `folder` (created if needed), in a form that any web server can serve as it is. Refuses a
 * folder that holds something else.
 */
export function exportSet(set: GuestSet, folder: string): void {
  const target = resolve(folder);
  mkdirSync(target, { recursive: true });
  const foreign = readdirSync(target).find((name) => !['manifest.json', 'SOURCES'].includes(name) && !/^[0-9a-f]{64}$/.test(name));
  if (foreign !== undefined) {
    throw new GuestError('unexpected-content', `${target} holds something else (${foreign}). Give --export an empty or a new folder.`);
  }
  for (const artefact of artefactsOf(set.manifest)) {
    mkdirSync(join(target, artefact.sha256), { recursive: true });
    copyFileSync(artefactPath(set.directory, artefact), artefactPath(target, artefact), constants.COPYFILE_FICLONE);
  }
  // The manifest comes last, so that an unfinished copy is not taken for a complete set.
  for (const name of ['SOURCES', 'manifest.json']) copyFileSync(join(set.directory, name), join(target, name));
}
