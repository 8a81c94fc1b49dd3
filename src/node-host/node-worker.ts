/** A Node worker with the interface of a browser's worker, as far as the page's handle of a VM uses it. */
import { Worker as NodeThread } from 'node:worker_threads';

/** A Node worker does not inherit the TypeScript loader of its process. */
const ENTRY = `import('tsx/esm/api').then(({ register }) => {
  register();
  return import(${JSON.stringify(new URL('../vm-worker-node.ts', import.meta.url).href)});
});`;

export function spawnVmThread(): NodeThread {
  return new NodeThread(ENTRY, { eval: true, execArgv: [] });
}

/** What a VM's handle (host/vm-handle.ts) needs of a worker. */
type WorkerOfVm = Pick<Worker, 'onmessage' | 'onerror' | 'onmessageerror' | 'postMessage' | 'terminate'>;

class NodeWorker implements WorkerOfVm {
  onmessage: Worker['onmessage'] = null;
  onerror: Worker['onerror'] = null;
  onmessageerror: Worker['onmessageerror'] = null;
  private readonly thread = spawnVmThread();
  private readonly self = this as unknown as Worker;

  constructor() {
    this.thread.on('message', (data: unknown) => void this.onmessage?.call(this.self, { data } as MessageEvent));
    this.thread.on('error', (error: Error) => void this.onerror?.call(this.self, { message: error.message, preventDefault: () => undefined } as ErrorEvent));
    this.thread.on('messageerror', (data: unknown) => void this.onmessageerror?.call(this.self, { data } as MessageEvent));
  }

  postMessage(message: unknown, transfer?: Transferable[] | StructuredSerializeOptions): void {
    this.thread.postMessage(message, (Array.isArray(transfer) ? transfer : []) as ArrayBuffer[]);
  }

  terminate(): void {
    void this.thread.terminate();
  }
}

export function spawnVmWorker(): Worker {
  return new NodeWorker() as unknown as Worker;
}
