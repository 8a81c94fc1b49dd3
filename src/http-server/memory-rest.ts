/**
 * Gives memory back after a burst of load. A server at rest makes so little garbage that V8 does not collect it, and the
 * garbage of many visitors stays for hours. So we collect once the server is at rest, once more for objects that are
 * released only by then, and again only after another burst: a collection takes some tens of milliseconds.
 */
import { Session } from 'node:inspector';
import { performance } from 'node:perf_hooks';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';

const LOOK_EVERY_MS = 10_000;
/** Collects after this many checks in a row that found the process at rest, following a busy one. */
const COLLECT_AFTER_LOOKS: readonly number[] = [2, 5];
/** A process at rest is busy for at most this share of its time. */
const RESTFUL_SHARE = 0.2;
/** A collection is worth it if memory has grown by more bytes than this since the last one. */
const WORTH_BYTES = 8 * 1024 * 1024;

interface MemoryRestOptions {
  readonly clock: Clock;
  /** Collects all garbage. */
  readonly collect: () => void;
  /** Bytes that the process holds for its objects, garbage included. */
  readonly bytesInUse: () => number;
  /** The share of time, 0 to 1, in which the process was busy since the last call. */
  readonly busyShare: () => number;
}

export function collectAtRest({ clock, collect, bytesInUse, busyShare }: MemoryRestOptions): Disposable {
  /** Checks since the last busy one; the start counts as busy. */
  let restful = 0;
  let left = bytesInUse();
  let timer: Disposable | null = null;
  const look = (): void => {
    restful = busyShare() <= RESTFUL_SHARE ? restful + 1 : 0;
    const inUse = bytesInUse();
    left = Math.min(left, inUse);
    if (COLLECT_AFTER_LOOKS.includes(restful) && inUse - left > WORTH_BYTES) {
      collect();
      left = bytesInUse();
    }
    timer = clock.setTimeout(look, LOOK_EVERY_MS);
  };
  timer = clock.setTimeout(look, LOOK_EVERY_MS);
  return { dispose: () => timer?.dispose() };
}

/** Of this process. */
export function giveMemoryBack(clock: Clock): Disposable {
  // Unlike global.gc() it gives emptied pages back to the system, too.
  const session = new Session();
  session.connect();
  let last = performance.eventLoopUtilization();
  const resting = collectAtRest({
    clock,
    collect: () => session.post('HeapProfiler.collectGarbage'),
    bytesInUse: () => {
      const { heapTotal, external } = process.memoryUsage();
      return heapTotal + external;
    },
    busyShare: () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
  });
  return {
    dispose() {
      resting.dispose();
      session.disconnect();
    },
  };
}
