/** Tasks and timers of the platform, for the pacer: a browser's worker or Node. */
import type { TaskSource } from './pacer.ts';

/** Node's way to run something as the next task; browsers have none and use a message channel. */
interface NodeGlobals {
  readonly setImmediate?: (task: () => void) => unknown;
}

export function platformTasks(): TaskSource {
  const { setImmediate } = globalThis as NodeGlobals;
  return setImmediate === undefined ? channelTasks() : nodeTasks(setImmediate);
}

function nodeTasks(setImmediate: (task: () => void) => unknown): TaskSource {
  return {
    now: () => performance.now(),
    soon: (task) => void setImmediate(task),
    later(task, ms) {
      const timer = setTimeout(task, ms);
      return () => clearTimeout(timer);
    },
    dispose() {
      // Nothing is held.
    },
  };
}

/**
 * Timers set in a timer's callback, five deep, are stretched to 4 ms by the HTML standard. A tick is therefore never
 * run by a timer itself: the timer posts a message, and the tick runs in that.
 */
function channelTasks(): TaskSource {
  const { port1, port2 } = new MessageChannel();
  const queue: (() => void)[] = [];
  port1.onmessage = () => queue.shift()?.();
  const soon = (task: () => void): void => {
    queue.push(task);
    port2.postMessage(null);
  };
  return {
    now: () => performance.now(),
    soon,
    later(task, ms) {
      let cancelled = false;
      const timer = setTimeout(
        () =>
          soon(() => {
            if (!cancelled) task();
          }),
        ms,
      );
      return () => {
        cancelled = true;
        clearTimeout(timer);
      };
    },
    dispose() {
      queue.length = 0;
      port1.close();
    },
  };
}
