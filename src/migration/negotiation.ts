/** The two questions settled before anything moves: do both sides speak one version, and can the target run this VM? */
import type { Fingerprint } from './fingerprint.ts';
import { OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION } from './limits.ts';
import type { PageSpace } from './ports.ts';

export interface VersionRange {
  readonly oldest: number;
  readonly newest: number;
}

export const SPOKEN_VERSIONS: VersionRange = { oldest: OLDEST_PROTOCOL_VERSION, newest: PROTOCOL_VERSION };

/** The newest version in both ranges, or null. */
export function agreeOnVersion(ours: VersionRange, theirs: VersionRange): number | null {
  const newest = Math.min(ours.newest, theirs.newest);
  return newest >= ours.oldest && newest >= theirs.oldest ? newest : null;
}

/** Why no version was agreed on, with the way out. `theirs` is the source's range, `ours` the target's. */
export function explainVersions(ours: VersionRange, theirs: VersionRange): string {
  const older = theirs.newest < ours.oldest ? 'source' : 'target';
  return `The source speaks versions ${range(theirs)} of the migration protocol and the target ${range(ours)}: reload the tab of the ${older}.`;
}

/**
 * Why a VM with fingerprint `needed` cannot run on a host that offers `has`: a sentence that names each difference; null
 * if it can.
 */
export function explainMismatch(needed: Fingerprint, has: Fingerprint): string | null {
  const differences: string[] = [];
  const compare = (what: string, theirs: string, ours: string): void => {
    if (theirs !== ours) differences.push(`the target has ${what} ${theirs}, this VM needs ${ours}`);
  };
  compare('v86', has.v86Version, needed.v86Version);
  compare('emulator', short(has.emulatorDigest), short(needed.emulatorDigest));
  compare('memory of', bytes(has.memoryBytes), bytes(needed.memoryBytes));
  compare('video memory of', bytes(has.videoMemoryBytes), bytes(needed.videoMemoryBytes));
  compare('a disk of', bytes(has.diskBytes), bytes(needed.diskBytes));
  compare('the devices', list(has.devices), list(needed.devices));
  compare('base disk', short(has.diskDigest), short(needed.diskDigest));
  compare('base snapshot', short(has.snapshotDigest), short(needed.snapshotDigest));
  if (differences.length === 0 && !sameDigests(needed, has)) differences.push('the target was built from other files');
  if (differences.length === 0) return null;
  const sentence = differences.join('; ');
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}. Reload both tabs so that they use the same guest.`;
}

/** The same for the numbering of pages, which follows from the fingerprint unless one side has an error. */
export function explainSpaces(source: PageSpace, target: PageSpace): string | null {
  if (source.ramPages === target.ramPages && source.videoPages === target.videoPages && source.diskPages === target.diskPages) return null;
  return `The target numbers its pages otherwise: it has ${spaceText(target)}, this VM ${spaceText(source)}.`;
}

function range({ oldest, newest }: VersionRange): string {
  return oldest === newest ? `${oldest}` : `${oldest} to ${newest}`;
}

function short(digest: string): string {
  return digest.slice(0, 12);
}

function bytes(size: number): string {
  return size % 1048576 === 0 ? `${size / 1048576} MiB` : `${size} bytes`;
}

function list(names: readonly string[]): string {
  return [...names].sort().join(' ');
}

function sameDigests(left: Fingerprint, right: Fingerprint): boolean {
  return left.emulatorDigest === right.emulatorDigest && left.diskDigest === right.diskDigest && left.snapshotDigest === right.snapshotDigest;
}

function spaceText(space: PageSpace): string {
  return `${space.ramPages} of RAM, ${space.videoPages} of video memory and ${space.diskPages} of the disk`;
}
