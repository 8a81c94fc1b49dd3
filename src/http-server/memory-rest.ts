/**
 * Gives memory back after a burst. A server at rest makes so little garbage that V8 does not look for any, and what a
 * storm of visitors has left stays for hours. So garbage is collected once the server has come to rest, once more for
 * what is only forgotten by then, and again only after another burst: a collection takes some tens of milliseconds.
 */
import { Session } from 'node:inspector';
import { performance } from 'node:perf_hooks';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';

const LOOK_EVERY_MS = 10_000;
/** So many looks in a row at which the process was at rest, behind a busy one. */
const COLLECT_AFTER_LOOKS: readonly number[] = [2, 5];
/** Share of its time in which a process at rest is busy, at most. */
const RESTFUL_SHARE = 0.2;
/** Bytes that must have come since the last collection to be worth one. */
const WORTH_BYTES = 8 * 1024 * 1024;

interface MemoryRestOptions {
  readonly clock: Clock;
  /** Collects all garbage. */
  readonly collect: () => void;
  /** Bytes that the process has for its objects, garbage included. */
  readonly bytesInUse: () => number;
  /** The share of time, 0 to 1, in which the process was busy since the last call. */
  readonly busyShare: () => number;
}

export function collectAtRest({ clock, collect, bytesInUse, busyShare }: MemoryRestOptions): Disposable {
  /** Looks since the last busy one; the start is busy. */
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
