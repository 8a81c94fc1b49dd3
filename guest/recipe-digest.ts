import { join } from 'node:path';
import { digestOfFiles, filesBelow, sha256 } from './digest.ts';

/** Sources outside guest/ that decide what a snapshot looks like. */
export const SNAPSHOT_SOURCES = [
  'src/emulator-bridge/base-snapshot.ts',
  'src/emulator-bridge/device-state.ts',
  'src/emulator-bridge/hidden-state.ts',
  'src/emulator-bridge/start-v86.ts',
  'src/emulator-bridge/v86-devices.ts',
  'src/emulator-bridge/v86-state-format.ts',
];
export const EMULATOR_SOURCES = [
  'node_modules/v86/build/libv86.mjs',
  'node_modules/v86/build/v86.wasm',
  'src/emulator-bridge/build/rewrite-emulator.ts',
  'src/emulator-bridge/tracking-globals.ts',
];

/** Digest of everything in the checkout that a guest set is made from: if it is the same, the set is still right. */
export function recipeDigest(root: string): string {
  const guest = join(root, 'guest');
  const files = filesBelow(guest).filter((name) => !/\.test\.ts$|\.md$|^Dockerfile$|^testing\//.test(name));
  return sha256([digestOfFiles(guest, files), digestOfFiles(root, SNAPSHOT_SOURCES), digestOfFiles(root, EMULATOR_SOURCES)].join(' '));
}
