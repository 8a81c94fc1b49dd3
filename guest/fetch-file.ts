/** HTTP for the guest set: one request with a limit on silence, errors as sentences. */
import { GuestError } from './guest-error.ts';

/** We give up on a server that sends nothing for this long; the next run continues where this one ended. */
const SILENCE_LIMIT_MS = 20_000;
const PARTIAL_CONTENT = 206;

export type Fetch = typeof fetch;

export interface Answer {
  /** `part`: the range that was asked for. `whole`: the file. `other`: a part that was not asked for, of no use. */
  readonly what: 'part' | 'whole' | 'other';
  readonly url: string;
  /** The content, piece by piece; rejects when nothing comes for too long. */
  readonly pieces: AsyncIterable<Uint8Array>;
  /** Ends the request if nobody wants to read the answer. */
  drop(): void;
}

/**
 * Asks for a file, or for the part from byte `range.from` on (to `range.to`, inclusive, if given; the server may send
 * something else, and the answer says so). Rejects with GuestError: 'not-found' for 404, else 'download-failed'.
 */
export async function askFor(url: URL, get: Fetch, range?: { readonly from: number; readonly to?: number }): Promise<Answer> {
  const controller = new AbortController();
  const expire = (): void => controller.abort(new Error(`nothing came for ${SILENCE_LIMIT_MS / 1000} s`));
  let timer = setTimeout(expire, SILENCE_LIMIT_MS);
  const drop = (): void => {
    clearTimeout(timer);
    controller.abort();
  };
  const headers: Record<string, string> = range === undefined ? {} : { Range: `bytes=${range.from}-${range.to ?? ''}` };
  try {
    const response = await get(url, { headers, signal: controller.signal });
    if (!response.ok) {
      const cause = response.status === 404 ? 'not-found' : 'download-failed';
      throw new GuestError(
        cause,
        `${url.href}: the web server answered ${response.status} ${response.statusText}. Is the address that of the folder with manifest.json, as "npm run guest -- --export DIR" writes it?`,
      );
    }
    return { what: whatCame(response, range?.from), url: url.href, pieces: pieces(response), drop };
  } catch (error) {
    drop();
    if (error instanceof GuestError) throw error;
    throw new GuestError(
      'download-failed',
      `${url.href} cannot be loaded: ${reasonOf(error)}. Check the address and the network, then run the command again.`,
      { cause: error },
    );
  }

  async function* pieces(response: Response): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
        clearTimeout(timer);
        timer = setTimeout(expire, SILENCE_LIMIT_MS);
        yield piece;
      }
    } finally {
      // A reader that stops early does not want the rest.
      drop();
    }
  }
}

function whatCame(response: Response, from: number | undefined): Answer['what'] {
  if (response.status !== PARTIAL_CONTENT) return 'whole';
  const first = /^bytes (\d+)-/.exec(response.headers.get('Content-Range') ?? '')?.[1];
  return from !== undefined && first === String(from) ? 'part' : 'other';
}

/** A small text file. Rejects with GuestError. */
export async function textFrom(url: URL, get: Fetch, maxBytes: number): Promise<string> {
  const answer = await askFor(url, get);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const piece of answer.pieces) {
      bytes += piece.length;
      if (bytes > maxBytes) throw new Error(`it is longer than ${maxBytes} bytes`);
      parts.push(piece);
    }
  } catch (error) {
    throw new GuestError('download-failed', `${url.href} cannot be loaded: ${reasonOf(error)}.`, { cause: error });
  }
  return Buffer.concat(parts).toString('utf8');
}

/** What went wrong, with the cause that fetch hides behind "fetch failed". */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
