import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../shared/clock.ts';
import { systemClock } from '../shared/system-clock.ts';
import { FOREIGN_HOST_STATUS, foreignHostSentence, type HostCheck } from './host-names.ts';

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/**
 * Gives each WebSocket upgrade to the one handler whose path prefix (e.g. `/relay/`) it has, and refuses all others and
 * those that name a host that is not ours. A handler that throws costs its own socket only, and `onError` is told.
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

/** An answer of a few hundred bytes that was not taken in this time is not wanted. */
export const REFUSAL_LIMIT_MS = 3000;

/**
 * Answers an upgrade with a plain refusal; `sentence` is its body, in ASCII. The socket is gone once the answer is
 * written, or after REFUSAL_LIMIT_MS: Node leaves an upgraded socket to us, and the other side need never close it.
 */
export function refuseUpgrade(socket: Duplex, status: number, sentence = '', clock: Pick<Clock, 'setTimeout'> = systemClock): void {
  const limit = clock.setTimeout(() => socket.destroy(), REFUSAL_LIMIT_MS);
  socket.once('close', () => limit.dispose());
  socket.on('error', () => socket.destroy());
  // What still comes in is thrown away: bytes that nobody read would make the system cut off the answer.
  socket.resume();
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${sentence.length}\r\n\r\n${sentence}`,
    () => socket.destroy(),
  );
}
