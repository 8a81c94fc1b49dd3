/**
 * v86 chooses its timers when it is loaded. If there is a `Worker`, it starts one per machine, only to time its ticks.
 * Here the pacer times the ticks, so `Worker` is hidden from v86 inside a VM's worker; a page keeps its own.
 */
const scope = globalThis as { Worker?: unknown; document?: unknown };
if (scope.document === undefined) delete scope.Worker;
