/**
 * Hosts with different clocks in one process: code run by a shifted host, and everything it starts, sees other values
 * of performance.now() and Date.now(). Import this file before v86, because v86 keeps the function it finds. Node only.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface ClockShift {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

const shift = new AsyncLocalStorage<ClockShift>();
const realMonotonic = performance.now.bind(performance);
const realWall = Date.now.bind(Date);
performance.now = () => realMonotonic() + (shift.getStore()?.monotonicMs ?? 0);
Date.now = () => realWall() + (shift.getStore()?.wallMs ?? 0);

/** Hosts with these clocks, relative to each other; no host's performance.now() is negative. */
export function hostsApart<const T extends readonly ClockShift[]>(hosts: T): T {
  for (const { monotonicMs } of hosts) {
    if (monotonicMs < 0) throw new RangeError('No tab has a negative performance.now(): shift the others forward instead.');
  }
  return hosts;
}

/** Runs `action` on a host with these clocks. */
export function onHost<T>(clocks: ClockShift, action: () => T): T {
  return shift.run(clocks, action);
}

/** `object`, wrapped so that its methods, and those of the objects it holds, run on that host. */
export function livingOn<T extends object>(clocks: ClockShift, object: T): T {
  return new Proxy(object, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value === 'function') {
        return (...args: unknown[]) => onHost(clocks, () => Reflect.apply(value, target, args) as unknown);
      }
      return value !== null && typeof value === 'object' && hasMethods(value) ? livingOn(clocks, value) : value;
    },
  });
}

/** Serial ports and the like; not plain data, arrays or buffers. */
function hasMethods(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype !== null && prototype !== Object.prototype && !Array.isArray(value) && !ArrayBuffer.isView(value);
}
