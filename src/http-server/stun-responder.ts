import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Disposable } from '../shared/disposable.ts';
import { disposable } from '../shared/disposable.ts';
import { addressBytes, parseBindingRequest, serializeBindingSuccess } from './stun-message.ts';

/**
 * Answers STUN binding requests on a UDP port, so that two tabs in different subnets learn the addresses under which
 * they can reach each other. Rejects with the socket's error when the port cannot be opened.
 */
export async function startStunResponder(port: number, host: string): Promise<Disposable> {
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4' });
  socket.on('message', (message, sender) => {
    const transactionId = parseBindingRequest(message);
    const address = addressBytes(sender.address);
    if (transactionId === null || address === null) return;
    // A reply that cannot be sent is like one lost on the way: the browser asks again.
    socket.send(serializeBindingSuccess(transactionId, address, sender.port), sender.port, sender.address, () => undefined);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ port, address: host, exclusive: true }, resolve);
  });
  socket.removeAllListeners('error');
  socket.on('error', () => undefined);
  return disposable(() => socket.close());
}
