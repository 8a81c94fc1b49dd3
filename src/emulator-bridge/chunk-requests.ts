/** Gathers what is wanted in one turn, joins neighbours into runs, and loads a bounded number of runs at once. */

/** Chunks `first` to `last`, both included. */
export interface ChunkRun {
  readonly first: number;
  readonly last: number;
}

export interface ChunkRequestOptions {
  /** Longest run. */
  readonly mostChunks: number;
  /** Runs loaded at once. */
  readonly parallel: number;
  /** Resolves with one entry per chunk of the run; an Error concerns only that chunk. */
  readonly load: (run: ChunkRun) => Promise<(Uint8Array | Error)[]>;
}

export interface ChunkRequests {
  /** If the chunk is already being loaded, this returns the same request. */
  want(index: number): Promise<Uint8Array>;
  /** Rejects every chunk that has not been loaded, and every later request. */
  cancel(reason: Error): void;
}

interface Pending {
  readonly promise: Promise<Uint8Array>;
  readonly resolve: (chunk: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

export function runChunkRequests(options: ChunkRequestOptions): ChunkRequests {
  const pending = new Map<number, Pending>();
  /** Wanted and not yet requested, in the order they were wanted. */
  const queue = new Set<number>();
  let loading = 0;
  let gathering = false;
  let cancelled: Error | null = null;

  function start(): void {
    gathering = false;
    for (const index of queue) {
      if (loading >= options.parallel) return;
      void load(takeRun(index));
    }
  }

  /** The run around `index` of chunks that are all queued. */
  function takeRun(index: number): ChunkRun {
    let first = index;
    let last = index;
    while (last - first + 1 < options.mostChunks && queue.has(last + 1)) last++;
    while (last - first + 1 < options.mostChunks && queue.has(first - 1)) first--;
    for (let each = first; each <= last; each++) queue.delete(each);
    return { first, last };
  }

  async function load(run: ChunkRun): Promise<void> {
    loading++;
    try {
      const results = await options.load(run);
      results.forEach((result, at) => settle(run.first + at, result));
    } catch (error) {
      for (let index = run.first; index <= run.last; index++) settle(index, error instanceof Error ? error : new Error(String(error)));
    } finally {
      loading--;
      start();
    }
  }

  function settle(index: number, result: Uint8Array | Error): void {
    const entry = pending.get(index);
    pending.delete(index);
    if (result instanceof Error) entry?.reject(result);
    else entry?.resolve(result);
  }

  return {
    want(index) {
      const known = pending.get(index);
      if (known !== undefined) return known.promise;
      if (cancelled !== null) return Promise.reject(cancelled);
      const { promise, resolve, reject } = newPromise();
      pending.set(index, { promise, resolve, reject });
      queue.add(index);
      if (!gathering) {
        gathering = true;
        queueMicrotask(start);
      }
      return promise;
    },
    cancel(reason) {
      cancelled = reason;
      queue.clear();
      for (const entry of pending.values()) entry.reject(reason);
      pending.clear();
    },
  };
}

function newPromise(): Pending {
  let resolve: (chunk: Uint8Array) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<Uint8Array>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
