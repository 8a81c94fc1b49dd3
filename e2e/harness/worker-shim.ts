/**
 * Faults and other clocks for the VM workers of a page, from outside: the product has no hooks for them. The page's
 * `Worker` is replaced by one that first runs a shim in the worker, then imports the real script.
 */
import type { Page } from '@playwright/test';
import type { MigrationPhase } from '../../src/migration/report.ts';

export interface ShimOptions {
  /** Added to what Date and performance.now tell, on the page and in its workers. */
  readonly dateShiftMs?: number;
  readonly uptimeShiftMs?: number;
  /** As the source of its first migration: once this phase is told, nothing is sent to the target any more. */
  readonly silentFrom?: MigrationPhase;
}

/** Call it before the page loads anything. */
export async function shimWorkers(page: Page, options: ShimOptions): Promise<void> {
  await page.addInitScript(install, { options, shiftClocks: shiftClocks.toString(), silence: silence.toString() });
}

/** Runs on the page. */
function install({ options, shiftClocks: shiftSource, silence: silenceSource }: { options: ShimOptions; shiftClocks: string; silence: string }): void {
  // The sources come as text, because they are to run here and in the workers.
  // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call -- test code for the page, from this file
  new Function(`(${shiftSource})(${JSON.stringify(options)})`)();
  const RealWorker = window.Worker;
  window.Worker = class extends RealWorker {
    constructor(script: string | URL, workerOptions?: WorkerOptions) {
      const real = JSON.stringify(new URL(script, document.baseURI).href);
      // What arrives before the real script listens is kept and delivered again.
      const shim = `
        (${shiftSource})(${JSON.stringify(options)});
        (${silenceSource})(${JSON.stringify(options)});
        const early = [];
        // The real event's ports have been seen by now.
        const keep = (event) => { early.push(event.data); event.stopImmediatePropagation(); };
        self.addEventListener('message', keep);
        await import(${real});
        self.removeEventListener('message', keep);
        for (const data of early) self.dispatchEvent(new MessageEvent('message', { data }));`;
      super(URL.createObjectURL(new Blob([shim], { type: 'text/javascript' })), { ...workerOptions, type: 'module' });
    }
  };
}

/** Runs on the page and in the worker. */
function shiftClocks({ dateShiftMs = 0, uptimeShiftMs = 0 }: ShimOptions): void {
  const RealDate = Date;
  const realNow = performance.now.bind(performance);
  if (dateShiftMs !== 0) {
    const now = (): number => RealDate.now() + dateShiftMs;
    globalThis.Date = new Proxy(RealDate, {
      construct: (target, given: unknown[]) => (given.length === 0 ? new target(now()) : (Reflect.construct(target, given) as Date)),
      get: (target, name, receiver) => (name === 'now' ? now : (Reflect.get(target, name, receiver) as unknown)),
    });
  }
  if (uptimeShiftMs !== 0) performance.now = () => realNow() + uptimeShiftMs;
}

/** Runs in the worker. */
function silence({ silentFrom }: ShimOptions): void {
  if (silentFrom === undefined) return;
  let silent = false;
  let over = false;
  const tellPage = self.postMessage.bind(self) as (message: unknown, ...rest: unknown[]) => void;
  self.postMessage = (message: unknown, ...rest: unknown[]) => {
    const told = message as { type?: string; progress?: { phase?: string } };
    if (told.type === 'progress' && told.progress?.phase === silentFrom && !over) silent = true;
    if (told.type === 'report') {
      silent = false;
      over = true;
    }
    tellPage(message, ...rest);
  };
  const channel = RTCDataChannel.prototype as unknown as { send: (...given: unknown[]) => void };
  const send = channel.send;
  channel.send = function (...given) {
    if (!silent) send.apply(this, given);
  };
  const broadcast = BroadcastChannel.prototype as unknown as { postMessage: (...given: unknown[]) => void };
  const post = broadcast.postMessage;
  broadcast.postMessage = function (...given) {
    if (!silent) post.apply(this, given);
  };
  // Only the ports that lead to the target: the emulator keeps itself going with ports of its own.
  self.addEventListener('message', (event: MessageEvent) => {
    for (const port of event.ports) {
      const postToTarget = port.postMessage.bind(port) as (...given: unknown[]) => void;
      port.postMessage = (...given: unknown[]) => {
        if (!silent) postToTarget(...given);
      };
    }
  });
}
