/** Entry of the VM's dedicated worker; everything is in src/host/worker. */
import type { FromVmWorker, ToVmWorker } from './host/vm-worker-messages.ts';
import { runVmWorker } from './host/worker/vm-worker-main.ts';

const scope = globalThis as unknown as {
  postMessage(message: FromVmWorker): void;
  onmessage: ((event: MessageEvent<ToVmWorker>) => void) | null;
  onmessageerror: (() => void) | null;
};

scope.onmessageerror = () => scope.postMessage({ type: 'unreadable' });

runVmWorker(
  (message) => scope.postMessage(message),
  (heard) => {
    scope.onmessage = (event) => heard(event.data);
  },
);
