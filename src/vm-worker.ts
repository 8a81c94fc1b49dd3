/** Entry of a VM's worker in the browser; everything is in src/vm-host. */
import { openBrowserSocket } from './net-relay/client/open-socket.ts';
import type { FromVmWorker, ToVmWorker } from './vm-host/vm-worker-messages.ts';
import { emulated } from './vm-host/emulated.ts';
import { runVmHost } from './vm-host/vm-host.ts';

const scope = globalThis as unknown as {
  postMessage(message: FromVmWorker): void;
  onmessage: ((event: MessageEvent<ToVmWorker>) => void) | null;
  onmessageerror: (() => void) | null;
};

scope.onmessageerror = () => scope.postMessage({ type: 'unreadable' });

runVmHost({
  ...emulated,
  post: (message) => scope.postMessage(message),
  listen(heard) {
    scope.onmessage = (event) => heard(event.data);
  },
  openSocket: openBrowserSocket,
});
