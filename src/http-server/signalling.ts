import { createServer } from 'node:http';
import { ExpressPeerServer } from 'peer';
import type { RequestHandler } from 'express';
import { isForeign, refuseUpgrade, type UpgradeHandler } from './upgrades.ts';

/** A tab sends a heartbeat every 5 s; one that missed nine is gone. */
const ALIVE_TIMEOUT_MS = 45_000;
/** More tabs than any room full of people has; keeps a flood of connections from growing the server without bound. */
const MAX_CLIENTS = 2_000;

export interface Signalling {
  /** Mount it under /peerjs. */
  readonly routes: RequestHandler;
  /** Takes over the WebSocket upgrade of a request under /peerjs. */
  readonly upgrade: UpgradeHandler;
}

/**
 * PeerJS's signalling server. It wants to listen on an HTTP server of its own and then refuses every upgrade that is not
 * meant for it; so it gets one that never listens, and is handed only its own upgrades.
 */
export function createSignalling(onError: (error: Error) => void): Signalling {
  const server = createServer();
  const app = ExpressPeerServer(server, { path: '/', alive_timeout: ALIVE_TIMEOUT_MS, concurrent_limit: MAX_CLIENTS, allow_discovery: false, corsOptions: { origin: false } });
  app.on('error', onError);
  return {
    routes: app,
    upgrade: (request, socket, head) => {
      if (isForeign(request)) refuseUpgrade(socket, 403);
      else server.emit('upgrade', request, socket, head);
    },
  };
}
