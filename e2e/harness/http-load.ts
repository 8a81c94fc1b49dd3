/** Load of short HTTP requests: autocannon's, and our own, which hides nothing. */
import { get } from 'node:http';
import { createRequire } from 'node:module';

/** What autocannon counts; it has no types of its own. */
export interface LoadResult {
  readonly '2xx': number;
  readonly non2xx: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly mismatches: number;
}

interface Running extends PromiseLike<LoadResult> {
  stop(): void;
}

const autocannon = createRequire(import.meta.url)('autocannon') as (options: object) => Running;
/** A request may meet a switchover and the slowest of guests; one that takes longer is lost. */
const REQUEST_LIMIT_S = 30;

/** Sends requests to `url` over `connections` connections until it is stopped. */
export function startLoad(url: string, connections: number): { stop(): Promise<LoadResult> } {
  // An hour: it is stopped long before.
  const running = autocannon({ url, connections, duration: 3600, timeout: REQUEST_LIMIT_S });
  return {
    async stop() {
      running.stop();
      return running;
    },
  };
}

/**
 * Sends one request after another, each over its own connection, without retries: autocannon reopens a connection when a
 * server closes it, so a request that was cut off would not show there.
 */
export function startStrictRequests(url: string): { readonly answered: () => number; stop(): Promise<readonly string[]> } {
  const failures: string[] = [];
  let answered = 0;
  let going = true;
  const once = (): Promise<void> =>
    new Promise((resolve) => {
      const request = get(url, { agent: false, timeout: REQUEST_LIMIT_S * 1000 }, (response) => {
        let length = 0;
        response.on('data', (data: Buffer) => (length += data.length));
        response.on('error', (error) => void failures.push(`cut off after ${length} bytes: ${error.message}`));
        response.on('close', () => {
          if (response.complete && response.statusCode === 200) answered++;
          else failures.push(`status ${String(response.statusCode)}, ${response.complete ? 'complete' : 'cut off'}`);
          resolve();
        });
      });
      request.on('timeout', () => request.destroy(new Error(`no answer in ${REQUEST_LIMIT_S} s`)));
      request.on('error', (error) => {
        failures.push(error.message);
        resolve();
      });
    });
  const loop = (async () => {
    while (going) await once();
  })();
  return {
    answered: () => answered,
    async stop() {
      going = false;
      await loop;
      return failures;
    },
  };
}
