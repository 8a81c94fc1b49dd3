/** True with `npm test -- --full`: the long versions of the long tests. */
export const FULL = process.env['TABMOTION_FULL'] === '1';
