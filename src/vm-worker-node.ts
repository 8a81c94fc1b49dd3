/** Entry of a VM's worker in Node (worker_threads); everything is in src/vm-host. */
import { parentPort } from 'node:worker_threads';
import { openNodeSocket } from './net-relay/node-client/node-socket.ts';
import { emulated } from './vm-host/emulated.ts';
import { runVmHost } from './vm-host/vm-host.ts';
import type { FromVmWorker, ToVmWorker } from './vm-host/vm-worker-messages.ts';

if (parentPort === null) throw new Error('This file is the entry of a worker.');
const port = parentPort;

runVmHost({
  ...emulated,
  post: (message: FromVmWorker) => port.postMessage(message),
  listen: (heard) => port.on('message', (message: ToVmWorker) => heard(message)),
  openSocket: openNodeSocket,
});
