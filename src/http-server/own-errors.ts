/** An unexpected error ends one action of the server, not the server itself: VMs of many people depend on it. */
import { disposable, type Disposable } from '../shared/disposable.ts';

/** A repeated error is printed only once in this time. */
const SAY_AGAIN_AFTER_MS = 60_000;

export interface ErrorSource {
  on(event: 'uncaughtException' | 'unhandledRejection', listener: (error: unknown) => void): unknown;
  off(event: 'uncaughtException' | 'unhandledRejection', listener: (error: unknown) => void): unknown;
}

/** Unexpected errors since the start, by where they were met. */
export type OwnError = 'uncaught-exception' | 'unhandled-rejection' | 'failed-request' | 'failed-upgrade';

const EVENTS = { uncaughtException: 'uncaught-exception', unhandledRejection: 'unhandled-rejection' } as const;

/** Prints and counts every error that nothing else has caught, and goes on. `now` in milliseconds. */
export function surviveOwnErrors(
  source: ErrorSource,
  complain: (line: string) => void,
  counters: { add(name: OwnError): void },
  now: () => number = () => performance.now(),
): Disposable {
  const said = new Map<string, { at: number; unsaid: number }>();
  const say = (error: unknown): void => {
    const text = described(error);
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
  const listeners = (['uncaughtException', 'unhandledRejection'] as const).map((event) => {
    const listener = (error: unknown): void => {
      counters.add(EVENTS[event]);
      say(error);
    };
    source.on(event, listener);
    return disposable(() => void source.off(event, listener));
  });
  return disposable(() => {
    for (const listener of listeners) listener.dispose();
  });
}

/** Describes any thrown value: even an object that cannot be converted to a string must not end the process. */
function described(error: unknown): string {
  try {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  } catch {
    return 'something that cannot be shown';
  }
}
