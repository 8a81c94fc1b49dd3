/** The page's handle to one VM worker: starts it, speaks to it, ends it. */
import { transferables } from '../link/lane-end.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import type { VmId } from '../shared/ids.ts';
import type { FromVmWorker, ToVmWorker } from '../vm-host/vm-worker-messages.ts';

export class VmHandle implements Disposable {
  readonly messages = new Emitter<FromVmWorker>();
  private readonly worker: Worker;
  private releaseLock: () => void = () => undefined;
  private alive = true;

  /** `spawn` makes the worker (the page's composition root knows its file). */
  constructor(spawn: () => Worker) {
    this.worker = spawn();
    this.worker.onmessage = (event: MessageEvent<FromVmWorker>) => this.messages.emit(event.data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.messages.emit({
        type: 'failed',
        reason: `The VM's worker stopped: ${event.message || 'its script could not be loaded'}. Reload the page to start again.`,
      });
    };
    this.worker.onmessageerror = () =>
      this.messages.emit({ type: 'failed', reason: "The VM's worker said something this page could not read. Reload the page to start again." });
  }

  /** From now on the worker belongs to this VM; the browser must not freeze its tab. */
  isFor(vmId: VmId): void {
    this.releaseLock = holdLock(`tabmotion-vm-${vmId}`);
  }

  /** Throws DataCloneError where the browser cannot transfer what the message carries. */
  post(message: ToVmWorker): void {
    if (!this.alive) return;
    this.worker.postMessage(message, this.transferList(message));
  }

  dispose(): void {
    if (!this.alive) return;
    this.alive = false;
    this.messages.dispose();
    this.worker.terminate();
    this.releaseLock();
  }

  private transferList(message: ToVmWorker): Transferable[] {
    if (message.type === 'migrate' || message.type === 'receive' || message.type === 'next-link')
      return message.ends.kind === 'relay' ? [] : transferables(message.ends);
    if (message.type === 'screen' && message.canvas !== null) return [message.canvas];
    return [];
  }
}

/** Holds a Web Lock, so that the browser does not freeze the hidden tab of a running VM; does nothing where there are none. */
function holdLock(name: string): () => void {
  const { locks } = (globalThis as { navigator?: { locks?: LockManager } }).navigator ?? {};
  if (locks === undefined) return () => undefined;
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  // Refused only when the page is going away, and then it does not matter.
  void locks.request(name, () => held).catch(() => undefined);
  return release;
}
