import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { ExpressPeerServer, type IConfig } from 'peer';
import type { RequestHandler } from 'express';
import type { Clock } from '../shared/clock.ts';
import { systemClock } from '../shared/system-clock.ts';
import { allowOrigins, type OriginCheck } from '../net-relay/server/origins.ts';
import { createWebSocketAcceptor } from '../net-relay/server/web-socket-server.ts';
import type { CallerOf } from './caller-address.ts';
import { ABSENT_CLEANUP_MS, ABSENT_EXPIRE_MS, ALIVE_TIMEOUT_MS, MAX_MESSAGE_BYTES, MAX_SOCKETS, type SignallingRefusal } from './signalling-limits.ts';
import { readSignallingName } from './signalling-message.ts';
import { SignallingSockets, type PeerSocket, type SignallingFigures } from './signalling-sockets.ts';
import { refuseUpgrade, type UpgradeHandler } from './upgrades.ts';

type PeersWebSocketServer = ReturnType<NonNullable<IConfig['createWebSocketServer']>>;

const STATUS: Partial<Record<SignallingRefusal, number>> = { origin: 403, 'address-full': 429, full: 503 };

export interface Signalling {
  /** Mount it under /peerjs. */
  readonly routes: RequestHandler;
  /** Takes over the WebSocket upgrade of a request under /peerjs, once `routes` are mounted. */
  readonly upgrade: UpgradeHandler;
  figures(): SignallingFigures;
}

/**
 * PeerJS's signalling server. By itself it would open its own WebSocket server, without limits. We give it one whose
 * sockets are limited by SignallingSockets. `onError` gets errors for which no visitor is to blame.
 */
export function createSignalling(
  onError: (error: Error) => void,
  callerOf: CallerOf,
  allowsOrigin: OriginCheck = allowOrigins(),
  clock: Clock = systemClock,
): Signalling {
  const sockets = new SignallingSockets(clock);
  const acceptor = createWebSocketAcceptor(clock, { maxMessageBytes: MAX_MESSAGE_BYTES, onTooLong: () => sockets.refusals.add('too-long') });
  /** Peer uses this as its WebSocket server. */
  const peers = new EventEmitter();
  let path: string | undefined;
  const app = ExpressPeerServer(createServer(), {
    path: '/',
    alive_timeout: ALIVE_TIMEOUT_MS,
    expire_timeout: ABSENT_EXPIRE_MS,
    cleanup_out_msgs: ABSENT_CLEANUP_MS,
    concurrent_limit: MAX_SOCKETS,
    allow_discovery: false,
    corsOptions: { origin: false },
    createWebSocketServer: (options) => {
      path = options.path;
      // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- peer declares a class of ws, and calls nothing but `on`
      return peers as PeersWebSocketServer;
    },
  });
  app.on('error', onError);
  app.on('connection', (client) => sockets.arrived(client.getId(), client.getSocket() as unknown as PeerSocket));
  app.on('disconnect', (client) => sockets.left(client.getId()));
  return {
    routes: app,
    figures: () => sockets.figures(),
    upgrade: (request, socket, head) => {
      const [asked] = (request.url ?? '').split('?');
      if (path === undefined || asked !== path) {
        refuseUpgrade(socket, 404);
        return;
      }
      const address = callerOf(request);
      const refusal = !allowsOrigin(request) ? 'origin' : readSignallingName(request.url ?? '') === null ? 'malformed' : sockets.obstacle(address);
      if (refusal !== null) {
        sockets.refusals.add(refusal);
        refuseUpgrade(socket, STATUS[refusal] ?? 400);
        return;
      }
      acceptor.accept(request, socket, head, (webSocket) => {
        const { events, peer } = sockets.connect(webSocket, address);
        peers.emit('connection', peer, request);
        return events;
      });
    },
  };
}
