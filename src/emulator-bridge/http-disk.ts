/**
 * The base image, read from a web server in chunks by HTTP Range requests. Every chunk is checked against its SHA-256
 * before it is returned. The content behind the address never changes, so the browser's own cache keeps what was read.
 */
import type { Clock } from '../shared/clock.ts';
import { fetchBounded, platformFetch, type Fetch } from './bounded-fetch.ts';
import { runChunkRequests, type ChunkRun } from './chunk-requests.ts';
import type { BaseDisk } from './machine.ts';
import { MachineError } from './machine-error.ts';
import { sha256 } from './sha256.ts';
import { systemClock } from '../shared/system-clock.ts';

/** Largest request: neighbouring chunks are asked for together up to this size. */
export const REQUEST_BYTES = 1024 * 1024;
/** Requests under way at once; a browser allows six to one server, and other things load too. */
export const PARALLEL_REQUESTS = 4;
const DIGEST_BYTES = 32;
const PARTIAL_CONTENT = 206;

export interface HttpDiskOptions {
  readonly url: string;
  readonly byteLength: number;
  /** Unit of the digests and of the requests. */
  readonly chunkBytes: number;
  /** SHA-256 of each chunk, one after the other, 32 bytes each; the last chunk may be short. */
  readonly chunkDigests: Uint8Array;
  readonly fetch?: Fetch;
  readonly clock?: Clock;
}

/** Nothing is read yet. Throws MachineError 'manifest-invalid' when the digests do not fit the size. */
export function openHttpDisk(options: HttpDiskOptions): BaseDisk {
  const { url, byteLength, chunkBytes, chunkDigests } = options;
  const clock = options.clock ?? systemClock;
  const fetch = options.fetch ?? platformFetch;
  const chunks = Math.ceil(byteLength / chunkBytes);
  if (!(chunkBytes > 0) || chunkDigests.length !== chunks * DIGEST_BYTES) {
    throw new MachineError(
      'manifest-invalid',
      `The guest set is inconsistent: a disk of ${byteLength} bytes in chunks of ${chunkBytes} needs ${chunks} digests, not ${chunkDigests.length / DIGEST_BYTES}. Build the guest again.`,
    );
  }
  /** Chunks with a wrong digest. A cached copy may be the reason, so the next request bypasses the cache. */
  const distrusted = new Set<number>();
  const closed = new AbortController();

  const requests = runChunkRequests({
    mostChunks: Math.max(1, Math.floor(REQUEST_BYTES / chunkBytes)),
    parallel: PARALLEL_REQUESTS,
    load: async ({ first, last }: ChunkRun): Promise<(Uint8Array | MachineError)[]> => {
      const start = first * chunkBytes;
      const end = Math.min((last + 1) * chunkBytes, byteLength);
      let suspicious = false;
      for (let index = first; index <= last; index++) suspicious ||= distrusted.has(index);
      const bytes = await fetchBounded({
        fetch,
        clock,
        url,
        headers: { Range: `bytes=${start}-${end - 1}` },
        cache: suspicious ? 'reload' : 'default',
        what: "The guest's disk image",
        bytes: { exactly: end - start },
        codes: { unreachable: 'disk-unreachable', silent: 'disk-silent', wrongLength: 'disk-wrong-range' },
        check: (response) => checkResponse(response, url, start, end, byteLength),
        signal: closed.signal,
      });
      const results: (Uint8Array | MachineError)[] = [];
      for (let index = first; index <= last; index++) {
        // Copied out, so that keeping one chunk does not keep the whole answer in memory.
        const chunk = first === last ? bytes : bytes.slice((index - first) * chunkBytes, Math.min((index - first + 1) * chunkBytes, bytes.length));
        const digest = await sha256(chunk);
        const right = digest.every((byte, at) => byte === chunkDigests[index * DIGEST_BYTES + at]);
        if (right) distrusted.delete(index);
        else distrusted.add(index);
        results.push(
          right
            ? chunk
            : new MachineError(
                'disk-altered',
                `The guest's disk image at ${url} is not the one of the manifest: bytes ${start + (index - first) * chunkBytes}-${start + (index - first) * chunkBytes + chunk.length - 1} have another digest. They are not used. Load the page again; if it stays, build the guest again on the server.`,
              ),
        );
      }
      return results;
    },
  });

  return {
    byteLength,
    chunkBytes,
    async read(offset, length) {
      if (offset < 0 || length <= 0 || offset + length > byteLength) {
        throw new MachineError('disk-out-of-bounds', `The disk image has ${byteLength} bytes; ${length} bytes at ${offset} are not in it.`);
      }
      if (closed.signal.aborted) throw closed.signal.reason;
      const first = Math.floor(offset / chunkBytes);
      const last = Math.floor((offset + length - 1) / chunkBytes);
      const parts = await Promise.all(Array.from({ length: last - first + 1 }, (_, at) => requests.want(first + at)));
      return cutOut(parts, chunkBytes, offset - first * chunkBytes, length);
    },
    dispose() {
      const reason = new MachineError('disk-closed', 'The disk image was closed while it was being read.');
      closed.abort(reason);
      requests.cancel(reason);
    },
  };
}

/** `length` bytes of the concatenated `chunks`, from `offset` on; a view if they lie in one chunk. */
function cutOut(chunks: readonly Uint8Array[], chunkBytes: number, offset: number, length: number): Uint8Array {
  const [only] = chunks;
  if (chunks.length === 1 && only !== undefined) return only.subarray(offset, offset + length);
  const bytes = new Uint8Array(length);
  chunks.forEach((chunk, index) => {
    const start = index * chunkBytes;
    const from = Math.max(offset, start);
    const to = Math.min(offset + length, start + chunk.length);
    bytes.set(chunk.subarray(from - start, to - start), from - offset);
  });
  return bytes;
}

function checkResponse(response: Response, url: string, start: number, end: number, byteLength: number): void {
  const { status } = response;
  if (status === 404 || status === 410) {
    throw new MachineError(
      'disk-missing',
      `There is no disk image at ${url} (status ${status}). Build the guest on the server (npm run guest), then load the page again.`,
    );
  }
  if (status === 200) {
    throw new MachineError(
      'disk-without-range',
      `The web server at ${url} ignores Range requests and would send the whole disk image of ${Math.ceil(byteLength / 2 ** 20)} MiB; the answer was refused. Serve the guest set with a server that supports Range (npm start does).`,
    );
  }
  if (status === 416) {
    throw new MachineError(
      'disk-wrong-range',
      `The disk image at ${url} is shorter than the manifest's ${byteLength} bytes. Build the guest again on the server, then load the page again.`,
    );
  }
  if (status !== PARTIAL_CONTENT) {
    throw new MachineError(
      'disk-refused',
      `The server refused to send the disk image ${url}: status ${status} ${response.statusText}. Look into the server's log.`,
    );
  }
  // From another origin the header may be hidden; length and digests are checked in any case.
  const range = response.headers.get('Content-Range');
  if (range === null) return;
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range.trim());
  const size = match?.[3];
  if (match === null || Number(match[1]) !== start || Number(match[2]) !== end - 1 || (size !== '*' && Number(size) !== byteLength)) {
    throw new MachineError(
      'disk-wrong-range',
      `The server answered "${range}" when bytes ${start}-${end - 1} of the ${byteLength} bytes of ${url} were asked for. Load the page again; if it stays, the server or a proxy before it is at fault.`,
    );
  }
}
