/** How long the long tests are: as `npm test` runs them, or `npm test -- --full`. */
export const FULL = process.env['TABMOTION_FULL'] === '1';
/** Seeded hostile inputs for each decoder (C7). */
export const FUZZ_RUNS = FULL ? 200_000 : 20_000;
