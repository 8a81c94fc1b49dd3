import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Fetch } from './bounded-fetch.ts';
import { openHttpDisk, PARALLEL_REQUESTS, REQUEST_BYTES } from './http-disk.ts';
import { MachineError, type MachineErrorCode } from './machine-error.ts';
import { ManualClock, settled } from './testing/manual-clock.ts';

const CHUNK = 1000;
const URL = 'http://server/guest/abc/disk.img';

function image(byteLength: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: byteLength }, (_, at) => (at * 7 + (at >> 8)) & 0xff);
}

function digestsOf(content: Uint8Array, chunkBytes = CHUNK): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += chunkBytes) {
    parts.push(
      createHash('sha256')
        .update(content.subarray(at, at + chunkBytes))
        .digest(),
    );
  }
  return Buffer.concat(parts);
}

interface Request {
  readonly start: number;
  readonly end: number;
  readonly cache: RequestCache | undefined;
  readonly signal: AbortSignal;
}

/** A web server in memory with one file, honest unless told otherwise. */
function serve(content: Uint8Array, misbehave: (request: Request) => Response | Promise<Response> | null = () => null) {
  const requests: Request[] = [];
  const fetch: Fetch = async (url, init) => {
    expect(url).toBe(URL);
    const match = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get('Range') ?? '');
    const request = { start: Number(match?.[1]), end: Number(match?.[2]) + 1, cache: init.cache, signal: init.signal! };
    requests.push(request);
    return (await misbehave(request)) ?? partial(content, request.start, request.end);
  };
  return { fetch, requests };
}

function partial(content: Uint8Array, start: number, end: number, headers: Record<string, string> = {}): Response {
  return new Response(content.slice(start, end), {
    status: 206,
    headers: { 'Content-Range': `bytes ${start}-${end - 1}/${content.length}`, ...headers },
  });
}

function setUp(byteLength: number, misbehave?: (request: Request) => Response | Promise<Response> | null) {
  const content = image(byteLength);
  const clock = new ManualClock();
  const { fetch, requests } = serve(content, misbehave);
  const disk = openHttpDisk({ url: URL, byteLength, chunkBytes: CHUNK, chunkDigests: digestsOf(content), fetch, clock });
  return { content, clock, requests, disk };
}

async function refusal(read: Promise<unknown>): Promise<MachineError> {
  const error: unknown = await read.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MachineError);
  return error as MachineError;
}

describe('openHttpDisk', () => {
  it('reads any range of the image', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5500 }), fc.nat(), fc.nat(), async (byteLength, a, b) => {
        const { content, disk } = setUp(byteLength);
        const offset = a % byteLength;
        const length = 1 + (b % (byteLength - offset));
        expect(Buffer.compare(await disk.read(offset, length), content.subarray(offset, offset + length))).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('joins neighbouring chunks of one turn into one request, and asks once for a chunk that two want', async () => {
    const { content, disk, requests } = setUp(20 * CHUNK);
    const [first, second, third, far] = await Promise.all([
      disk.read(3 * CHUNK, CHUNK),
      disk.read(2 * CHUNK, 2 * CHUNK),
      disk.read(4 * CHUNK, 10),
      disk.read(9 * CHUNK, 5),
    ]);
    expect(requests.map(({ start, end }) => [start / CHUNK, end / CHUNK])).toEqual([
      [2, 5],
      [9, 10],
    ]);
    expect(first).toEqual(content.slice(3 * CHUNK, 4 * CHUNK));
    expect(second).toEqual(content.slice(2 * CHUNK, 4 * CHUNK));
    expect(third).toEqual(content.slice(4 * CHUNK, 4 * CHUNK + 10));
    expect(far).toEqual(content.slice(9 * CHUNK, 9 * CHUNK + 5));
  });

  it('keeps requests below their largest size and their largest number', async () => {
    let open = 0;
    let most = 0;
    const { content, disk, requests } = setUp(6 * REQUEST_BYTES, async ({ start, end }) => {
      most = Math.max(most, ++open);
      await settled();
      open--;
      return partial(content, start, end);
    });
    const all = await disk.read(0, content.length);
    expect(Buffer.compare(all, content)).toBe(0);
    expect(Math.max(...requests.map(({ start, end }) => end - start))).toBeLessThanOrEqual(REQUEST_BYTES);
    expect(most).toBe(PARALLEL_REQUESTS);
  });

  const refusals: [string, () => Response | Promise<Response>, MachineErrorCode, RegExp][] = [
    ['a server that ignores Range', () => new Response('everything', { status: 200 }), 'disk-without-range', /server that supports Range/],
    ['a missing image', () => new Response('no', { status: 404 }), 'disk-missing', /npm run guest/],
    ['a failing server', () => new Response('no', { status: 503, statusText: 'Overloaded' }), 'disk-refused', /status 503 Overloaded/],
    ['a shorter image', () => new Response('no', { status: 416 }), 'disk-wrong-range', /shorter than the manifest's/],
    [
      'another range than asked for',
      () => new Response(image(CHUNK), { status: 206, headers: { 'Content-Range': 'bytes 1-1000/5000' } }),
      'disk-wrong-range',
      /answered "bytes 1-1000\/5000" when bytes 0-999/,
    ],
    [
      'an image of another size',
      () => new Response(image(CHUNK), { status: 206, headers: { 'Content-Range': 'bytes 0-999/4000' } }),
      'disk-wrong-range',
      /of the 5000 bytes/,
    ],
    [
      'a nonsensical Content-Range',
      () => new Response(image(CHUNK), { status: 206, headers: { 'Content-Range': 'all of it' } }),
      'disk-wrong-range',
      /all of it/,
    ],
    ['too few bytes', () => new Response(image(CHUNK - 1), { status: 206 }), 'disk-wrong-range', /sent 999 instead of 1000 bytes/],
    ['too many bytes', () => new Response(image(CHUNK + 1), { status: 206 }), 'disk-wrong-range', /sent more instead of 1000/],
    ['altered bytes', () => new Response(image(CHUNK).reverse(), { status: 206 }), 'disk-altered', /bytes 0-999 have another digest/],
    ['a broken connection', () => Promise.reject(new TypeError('Failed to fetch')), 'disk-unreachable', /Failed to fetch\. Check that the server runs/],
    [
      'a connection broken half-way',
      () => new Response(new ReadableStream({ pull: (stream) => stream.error(new TypeError('network error')) }), { status: 206 }),
      'disk-unreachable',
      /network error/,
    ],
  ];
  for (const [what, answer, code, sentence] of refusals) {
    it(`refuses ${what}, by name`, async () => {
      const { disk } = setUp(5 * CHUNK, answer);
      const error = await refusal(disk.read(0, CHUNK));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(sentence);
      expect(error.message).toContain(URL);
    });
  }

  it('stops the transfer of an answer it refuses', async () => {
    const { disk, requests } = setUp(5 * CHUNK, () => new Response(new ReadableStream(), { status: 200 }));
    await refusal(disk.read(0, CHUNK));
    expect(requests[0]!.signal.aborted).toBe(true);
  });

  it('accepts an answer whose Content-Range is hidden, as from another origin, by length and digest', async () => {
    const { disk, content } = setUp(5 * CHUNK, ({ start, end }) => new Response(image(5 * CHUNK).slice(start, end), { status: 206 }));
    expect(await disk.read(CHUNK, CHUNK)).toEqual(content.slice(CHUNK, 2 * CHUNK));
  });

  it('gives up on a server that accepts the request and never answers', async () => {
    const { disk, clock } = setUp(5 * CHUNK, () => new Promise<never>(() => undefined));
    const read = refusal(disk.read(0, CHUNK));
    await clock.advance(10_000);
    const error = await read;
    expect(error.code).toBe('disk-silent');
    expect(error.message).toMatch(/has sent nothing for 10 s/);
    expect(clock.pending).toBe(0);
  });

  it('gives up on an answer that stops half-way, but not on a slow one', async () => {
    let push: (bytes: Uint8Array) => void = () => undefined;
    const { disk, clock, content } = setUp(
      5 * CHUNK,
      () => new Response(new ReadableStream<Uint8Array>({ start: (stream) => (push = (bytes) => stream.enqueue(bytes)) }), { status: 206 }),
    );
    const read = refusal(disk.read(0, CHUNK));
    await settled();
    for (let at = 0; at < 500; at += 100) {
      push(content.slice(at, at + 100));
      await clock.advance(9000);
    }
    await clock.advance(1000);
    expect((await read).code).toBe('disk-silent');
  });

  it('hands out the right chunks of an answer with one altered chunk, and asks for that one past the cache', async () => {
    let altered = true;
    const { disk, content, requests } = setUp(5 * CHUNK, ({ start, end }) => {
      const bytes = image(5 * CHUNK);
      if (altered) bytes[2 * CHUNK + 5]! ^= 1;
      return new Response(bytes.slice(start, end), { status: 206 });
    });
    const reads = [1, 2, 3].map((index) => disk.read(index * CHUNK, CHUNK));
    const [first, second, third] = await Promise.allSettled(reads);
    expect(first).toEqual({ status: 'fulfilled', value: content.slice(CHUNK, 2 * CHUNK) });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'disk-altered' } });
    expect(third?.status).toBe('fulfilled');
    expect(requests[0]!.cache).toBe('default');
    altered = false;
    await disk.read(2 * CHUNK, CHUNK);
    expect(requests[1]!.cache).toBe('reload');
    await disk.read(2 * CHUNK, CHUNK);
    expect(requests[2]!.cache).toBe('default');
  });

  it('asks again after a failure when the chunk is wanted again', async () => {
    let away = true;
    const { disk, content } = setUp(5 * CHUNK, () => (away ? Promise.reject(new TypeError('away')) : null));
    await refusal(disk.read(0, 10));
    away = false;
    expect(await disk.read(0, 10)).toEqual(content.slice(0, 10));
  });

  it('ends what is under way and refuses further reads when it is disposed', async () => {
    const { disk, requests, clock } = setUp(20 * CHUNK, () => new Promise<never>(() => undefined));
    const reads = [0, 4, 8, 12, 16].map((index) => refusal(disk.read(index * CHUNK, CHUNK)));
    await settled();
    disk.dispose();
    for (const read of reads) expect((await read).code).toBe('disk-closed');
    expect(requests.every(({ signal }) => signal.aborted)).toBe(true);
    expect((await refusal(disk.read(0, 1))).code).toBe('disk-closed');
    expect(clock.pending).toBe(0);
  });

  it('refuses reads outside the image and digests that do not fit it', async () => {
    const { disk } = setUp(5 * CHUNK);
    expect((await refusal(disk.read(4999, 2))).code).toBe('disk-out-of-bounds');
    expect((await refusal(disk.read(-1, 2))).code).toBe('disk-out-of-bounds');
    expect(() => openHttpDisk({ url: URL, byteLength: 5001, chunkBytes: CHUNK, chunkDigests: new Uint8Array(5 * 32) })).toThrow(/needs 6 digests, not 5/);
  });
});
