/** An error that nobody expected ends one action of the server, not the server: VMs of many people hang on it. */
import { disposable, type Disposable } from '../shared/disposable.ts';

/** The same error again and again is said once in this time. */
const SAY_AGAIN_AFTER_MS = 60_000;

export interface ErrorSource {
  on(event: 'uncaughtException' | 'unhandledRejection', listener: (error: unknown) => void): unknown;
  off(event: 'uncaughtException' | 'unhandledRejection', listener: (error: unknown) => void): unknown;
}

/** Says every error that reached nobody, and goes on. `now` in milliseconds. */
export function surviveOwnErrors(source: ErrorSource, complain: (line: string) => void, now: () => number = () => performance.now()): Disposable {
  const said = new Map<string, { at: number; unsaid: number }>();
  const listener = (error: unknown): void => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const before = said.get(text);
    if (before !== undefined && now() - before.at < SAY_AGAIN_AFTER_MS) {
      before.unsaid += 1;
      return;
    }
    // Texts that differ each time must not pile up.
    if (said.size >= 100) said.clear();
    said.set(text, { at: now(), unsaid: 0 });
    const often = before === undefined || before.unsaid === 0 ? '' : ` (${before.unsaid} times more since it was last said)`;
    complain(`The server met an error of its own and goes on${often}. Please report it: ${text}`);
  };
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) source.on(event, listener);
  return disposable(() => {
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) source.off(event, listener);
  });
}
