import { setTimeout as sleep } from 'node:timers/promises';

/** Often enough that a test does not wait noticeably, seldom enough that it does not load the machine. */
const POLL_MS = 50;

/**
 * Asks until `ask` gives something other than null, undefined or false, and returns that. After `limitMs` it fails with
 * `what` (a phrase: "waited for …") and the last error, if asking failed.
 */
export async function pollFor<T>(what: string, ask: () => Promise<T | null | undefined | false> | T | null | undefined | false, limitMs = 30_000): Promise<T> {
  const end = performance.now() + limitMs;
  let lastError: unknown = null;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== null && answer !== undefined && answer !== false) return answer;
      lastError = null;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > end) throw new Error(`Waited ${limitMs} ms for ${what}`, { cause: lastError });
    await sleep(POLL_MS);
  }
}
