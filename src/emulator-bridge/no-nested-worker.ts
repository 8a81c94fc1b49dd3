/**
 * v86 chooses its timers as it is loaded, and where there is `Worker` it starts one for each machine, only to time its
 * ticks. The pacer does that here, so inside a VM's worker v86 finds no `Worker`; a page keeps its own.
 */
const scope = globalThis as { Worker?: unknown; document?: unknown };
if (scope.document === undefined) delete scope.Worker;
