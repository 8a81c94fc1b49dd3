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
  /** What goes wrong: the first in a worker's first migration, the second in its second, and so on. */
  readonly faults?: readonly WorkerFault[];
  /** Adds `printedAt` to the output of VM workers: the time when they printed it, by the machine's clock. */
  readonly stampOutput?: boolean;
}

export interface WorkerFault {
  /**
   * When: at the source, once it has reported this phase and sent at least `bytesSent`; or, on either side, just before it
   * handles the relay's message of this type.
   */
  readonly at: { readonly phase: MigrationPhase; readonly bytesSent?: number } | { readonly relaySays: string };
  /**
   * silence: the worker sends nothing more to the other host until the migration has ended. stall: the same until the migration is to be cancelled;
   * then the worker sends what it held back. cut: the channels to the other host are closed. lose-relay: nothing passes between the worker and the
   * relay any more, in either direction. freeze: the worker stands still until the path of the page's origin is answered (harness/freezer.ts).
   */
  readonly what:
    | { readonly type: 'silence' }
    | { readonly type: 'stall' }
    | { readonly type: 'cut' }
    | { readonly type: 'lose-relay' }
    | { readonly type: 'freeze'; readonly until: string };
}

/** Call it before the page loads anything. */
export async function shimWorkers(page: Page, options: ShimOptions): Promise<void> {
  await page.addInitScript(install, { options, onPage: shiftClocks.toString(), inWorkers: [stampOutput, shiftClocks, breakMigration].map(String) });
}

/** Runs on the page. */
function install({ options, onPage, inWorkers }: { options: ShimOptions; onPage: string; inWorkers: readonly string[] }): void {
  // The sources come as text, because they are to run here and in the workers.
  // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call -- test code for the page, from this file
  new Function(`(${onPage})(${JSON.stringify(options)})`)();
  const RealWorker = window.Worker;
  window.Worker = class extends RealWorker {
    constructor(script: string | URL, workerOptions?: WorkerOptions) {
      const real = JSON.stringify(new URL(script, document.baseURI).href);
      // Messages that arrive before the real script listens are kept and delivered again, also on data channels: unlike
      // ports, these deliver at once. Without a shim no message arrives before the script has run.
      const shim = `
        ${inWorkers.map((source) => `(${source})(${JSON.stringify(options)});`).join('\n')}
        const early = [];
        const channels = new Map();
        const keep = (event) => {
          // The real event's ports have been seen by now.
          event.stopImmediatePropagation();
          early.push(event.data);
          for (const end of Object.values(event.data.ends ?? {})) {
            if (!(end.channel instanceof RTCDataChannel)) continue;
            const heard = [];
            channels.set(end.channel, heard);
            end.channel.binaryType = 'arraybuffer';
            end.channel.onmessage = ({ data }) => heard.push(data);
          }
        };
        self.addEventListener('message', keep);
        await import(${real});
        self.removeEventListener('message', keep);
        for (const data of early) self.dispatchEvent(new MessageEvent('message', { data }));
        for (const [channel, heard] of channels) for (const data of heard) channel.dispatchEvent(new MessageEvent('message', { data }));`;
      super(URL.createObjectURL(new Blob([shim], { type: 'text/javascript' })), { ...workerOptions, type: 'module' });
    }
  };
}

/** Runs in the worker, before its clock is shifted. */
function stampOutput({ stampOutput: wanted = false }: ShimOptions): void {
  if (!wanted) return;
  const now = Date.now.bind(Date);
  const post = self.postMessage.bind(self) as (message: unknown, ...rest: unknown[]) => void;
  self.postMessage = (message: object & { type?: string }, ...rest: unknown[]) => {
    post(message.type === 'console' ? { ...message, printedAt: now() } : message, ...rest);
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
function breakMigration({ faults = [] }: ShimOptions): void {
  if (faults.length === 0) return;
  let migration = 0;
  let struck = false;
  let silent = false;
  /** What is to be sent once the stall is over. */
  let held: (() => void)[] | null = null;
  let relayLost = false;
  const channels = new Set<{ close: () => void }>();

  const pass = (send: () => void): void => {
    if (held !== null) held.push(send);
    else if (!silent) send();
  };
  const goOn = (): void => {
    const sends = held ?? [];
    held = null;
    for (const send of sends) send();
  };

  const strike = ({ what }: WorkerFault): void => {
    struck = true;
    if (what.type === 'silence') silent = true;
    if (what.type === 'stall') held = [];
    if (what.type === 'lose-relay') relayLost = true;
    if (what.type === 'cut') for (const channel of channels) channel.close();
    if (what.type === 'freeze') {
      const request = new XMLHttpRequest();
      request.open('GET', new URL(what.until, self.location.origin), false);
      request.send();
    }
  };

  const tellPage = self.postMessage.bind(self) as (message: unknown, ...rest: unknown[]) => void;
  self.postMessage = (message: unknown, ...rest: unknown[]) => {
    const told = message as { type?: string; progress?: { phase?: string; bytesSent?: number } };
    tellPage(message, ...rest);
    const fault = faults[migration];
    const at = fault?.at;
    const due =
      told.type === 'progress' &&
      at !== undefined &&
      'phase' in at &&
      told.progress?.phase === at.phase &&
      (told.progress.bytesSent ?? 0) >= (at.bytesSent ?? 0);
    if (due && fault !== undefined && !struck) strike(fault);
    if (told.type !== 'report') return;
    silent = false;
    goOn();
    struck = false;
    migration++;
  };
  const channel = RTCDataChannel.prototype as unknown as { send: (...given: unknown[]) => void };
  const send = channel.send;
  channel.send = function (this: RTCDataChannel, ...given) {
    channels.add(this);
    pass(() => send.apply(this, given));
  };
  const broadcast = BroadcastChannel.prototype as unknown as { postMessage: (...given: unknown[]) => void };
  const post = broadcast.postMessage;
  broadcast.postMessage = function (this: BroadcastChannel, ...given) {
    pass(() => post.apply(this, given));
  };
  // Only the ports that lead to the target: the emulator needs its own ports to keep running.
  self.addEventListener('message', (event: MessageEvent<{ type?: string } | null>) => {
    if (event.data?.type === 'cancel') goOn();
    for (const port of event.ports) {
      const postToTarget = port.postMessage.bind(port) as (...given: unknown[]) => void;
      port.postMessage = (...given: unknown[]) => {
        pass(() => postToTarget(...given));
      };
    }
  });
  const RealSocket = WebSocket;
  globalThis.WebSocket = class extends RealSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      // The first listener: later listeners get the message only after the freeze.
      super.addEventListener('message', (event: MessageEvent<unknown>) => {
        if (relayLost) event.stopImmediatePropagation();
        const fault = faults[migration];
        if (struck || fault === undefined || !('relaySays' in fault.at) || typeof event.data !== 'string') return;
        if ((JSON.parse(event.data) as { type?: string }).type === fault.at.relaySays) strike(fault);
      });
    }

    override send(data: Parameters<WebSocket['send']>[0]): void {
      if (!relayLost) super.send(data);
    }
  };
}
