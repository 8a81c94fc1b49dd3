/**
 * Property tests draw the same values in every run, so that a failure can be repeated and a pass stays a pass. With
 * `--full` they draw new values, and fast-check prints the seed of a failure. Vitest loads this before each test file.
 */
import fc from 'fast-check';
import { FULL } from './full.ts';

const SEED = 0x7ab3;

fc.configureGlobal({
  ...(FULL ? {} : { seed: SEED }),
  // A sequence of up to 60 steps should have about 30 of them, not 5.
  defaultSizeToMaxWhenMaxSpecified: true,
});
