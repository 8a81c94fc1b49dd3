/** Loads a known number of bytes over HTTP. It never loads more, and never waits forever. */
import type { Clock } from '../shared/clock.ts';
import { MachineError, type MachineErrorCode } from './machine-error.ts';

/** A server that sends nothing for this long has gone silent; it is asked again, or the owner is told. */
const SILENCE_LIMIT_MS = 10_000;

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** The platform's fetch, looked up when it is called. */
export const platformFetch: Fetch = (url, init) => fetch(url, init);

export interface BoundedRequest {
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly url: string;
  readonly headers?: Record<string, string>;
  readonly cache?: RequestCache;
  /** How the error messages call it, e.g. `The guest's BIOS`. */
  readonly what: string;
  /** The exact number of bytes, or the maximum. */
  readonly bytes: { readonly exactly: number } | { readonly atMost: number };
  readonly codes: { readonly unreachable: MachineErrorCode; readonly silent: MachineErrorCode; readonly wrongLength: MachineErrorCode };
  /** Looks at status and headers before the body is read; throws MachineError to refuse it. */
  readonly check: (response: Response) => void;
  /** Called with each piece of the body, in order. */
  readonly onPiece?: (piece: Uint8Array) => void;
  /** Ends the request; the result then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Rejects with MachineError (one of `codes`, or what `check` threw). */
export async function fetchBounded(request: BoundedRequest): Promise<Uint8Array<ArrayBuffer>> {
  const { what, url, codes, clock } = request;
  const abort = new AbortController();
  const stop = (): void => abort.abort(request.signal?.reason);
  if (request.signal?.aborted === true) stop();
  request.signal?.addEventListener('abort', stop, { once: true });
  const silent = new MachineError(
    codes.silent,
    `${what} does not come: ${url} has sent nothing for ${SILENCE_LIMIT_MS / 1000} s. Check that the server still runs and that the network reaches it.`,
  );
  let giveUp: (error: unknown) => void = () => undefined;
  // A stream that hangs may ignore the abort, so the limit also ends the wait itself.
  const ended = new Promise<never>((_, reject) => (giveUp = reject));
  ended.catch(() => undefined);
  abort.signal.addEventListener('abort', () => giveUp(abort.signal.reason), { once: true });
  let limit = clock.setTimeout(() => abort.abort(silent), SILENCE_LIMIT_MS);
  const alive = (): void => {
    limit.dispose();
    limit = clock.setTimeout(() => abort.abort(silent), SILENCE_LIMIT_MS);
  };
  try {
    if (abort.signal.aborted) throw abort.signal.reason;
    const init: RequestInit = { signal: abort.signal };
    if (request.headers !== undefined) init.headers = request.headers;
    if (request.cache !== undefined) init.cache = request.cache;
    const response = await Promise.race([request.fetch(url, init), ended]);
    alive();
    request.check(response);
    return await readBody(response, request, ended, alive);
  } catch (error) {
    // Whatever went wrong, the rest of the answer is not wanted.
    abort.abort(error);
    if (error instanceof MachineError || request.signal?.aborted === true) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new MachineError(
      codes.unreachable,
      `${what} cannot be loaded from ${url}: ${reason}. Check that the server runs and that this computer can reach it.`,
      { cause: error },
    );
  } finally {
    limit.dispose();
    request.signal?.removeEventListener('abort', stop);
  }
}

async function readBody(response: Response, request: BoundedRequest, ended: Promise<never>, alive: () => void): Promise<Uint8Array<ArrayBuffer>> {
  const limit = 'exactly' in request.bytes ? request.bytes.exactly : request.bytes.atMost;
  const wrongLength = (had: string): MachineError =>
    new MachineError(
      request.codes.wrongLength,
      `${request.what} has another size than promised: ${request.url} sent ${had} instead of ${limit} bytes. Load the page again; if it stays, build the guest again on the server.`,
    );
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let received = 0;
  const reader = response.body?.getReader();
  while (reader !== undefined) {
    const { done, value } = await Promise.race([reader.read(), ended]);
    if (done) break;
    alive();
    received += value.length;
    if (received > limit) throw wrongLength('more');
    parts.push(value);
    request.onPiece?.(value);
  }
  if ('exactly' in request.bytes && received !== limit) throw wrongLength(String(received));
  const only = parts[0];
  if (parts.length === 1 && only !== undefined) return only;
  const bytes = new Uint8Array(received);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
