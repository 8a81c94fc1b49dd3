import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../shared/clock.ts';
import { systemClock } from '../shared/system-clock.ts';
import { FOREIGN_HOST_STATUS, foreignHostSentence, type HostCheck } from './host-names.ts';

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/**
 * Passes each WebSocket upgrade to the handler with its path prefix (e.g. `/relay/`). Refuses upgrades without a handler,
 * and upgrades that name a host that is not ours. If a handler throws, only its own socket is destroyed, and `onError` is
 * called.
 */
export function dispatchUpgrades(
  server: Server,
  allowsHost: HostCheck,
  onError: (error: unknown) => void,
  handlers: Readonly<Record<string, UpgradeHandler>>,
): void {
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const { host } = request.headers;
    if (!allowsHost(host)) {
      refuseUpgrade(socket, FOREIGN_HOST_STATUS, foreignHostSentence(host));
      return;
    }
    const path = (request.url ?? '').split('?')[0] ?? '';
    const handler = Object.entries(handlers).find(([prefix]) => path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`))?.[1];
    if (handler === undefined) {
      refuseUpgrade(socket, 404);
      return;
    }
    try {
      handler(request, socket, head);
    } catch (error) {
      socket.destroy();
      onError(error);
    }
  });
}

/** A client that has not taken an answer of a few hundred bytes in this time does not want it. */
export const REFUSAL_LIMIT_MS = 3000;

/**
 * Answers an upgrade with a plain refusal; `sentence` is its body, in ASCII. Destroys the socket once the answer is
 * written, or after REFUSAL_LIMIT_MS: Node leaves an upgraded socket to us, and the other side may never close it.
 */
export function refuseUpgrade(socket: Duplex, status: number, sentence = '', clock: Pick<Clock, 'setTimeout'> = systemClock): void {
  const limit = clock.setTimeout(() => socket.destroy(), REFUSAL_LIMIT_MS);
  socket.once('close', () => limit.dispose());
  socket.on('error', () => socket.destroy());
  // Discards incoming data: unread bytes would make the system cut off the answer.
  socket.resume();
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${sentence.length}\r\n\r\n${sentence}`,
    () => socket.destroy(),
  );
}
