/** True for the full length of the long tests: `npm test -- --all` or `npm test -- --full`. */
export const FULL = process.env['TABMOTION_FULL'] === '1';
/** `npm test`: fewer schedules for tests that have thousands. */
export const QUICK = process.env['TABMOTION_QUICK'] === '1';
/** Seeded hostile inputs for each decoder (C7). */
export const FUZZ_RUNS = FULL ? 200_000 : 20_000;
/** Time limit of a test that runs all of them, on a slow machine that is busy with other tests. */
export const FUZZ_LIMIT_MS = FULL ? 900_000 : 120_000;
