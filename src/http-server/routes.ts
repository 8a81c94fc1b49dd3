import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { TOO_MANY_TRIES_ANSWER_MS } from '../net-relay/limits/server-limits.ts';
import type { KeyTries } from '../net-relay/server/key-tries.ts';
import { systemClock } from '../shared/system-clock.ts';
import type { CallerOf } from './caller-address.ts';
import type { CaptureDownloads } from './capture-downloads.ts';
import { guestFiles, type GuestFile } from './guest-files.ts';
import { roomOwnerApi, type OwnedRooms } from './room-owner-api.ts';
import { relayApi, roomsApi, type Rooms } from './rooms-api.ts';
import { securityHeaders } from './security-headers.ts';

export interface RoutesParts {
  readonly secure: boolean;
  readonly guest: { readonly directory: string; readonly files: readonly GuestFile[] };
  readonly rooms: Rooms & OwnedRooms;
  readonly callerOf: CallerOf;
  /** Of keys, by address; shared with the relay. */
  readonly tries: Pick<KeyTries, 'allows' | 'wrong'>;
  readonly downloads: CaptureDownloads;
  readonly metrics: RequestHandler;
  /** PeerJS's routes. */
  readonly signalling: RequestHandler;
  /** The built page, or the development server. */
  readonly page: RequestHandler;
  /** Called when a request fails and the visitor is not to blame. */
  onError(error: Error): void;
}

/** Everything the server answers over plain requests; WebSockets are in upgrades.ts. */
export function createRoutes(parts: RoutesParts): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use(securityHeaders({ secure: parts.secure }));
  app.get('/healthz', (_request, response) => {
    response.setHeader('Cache-Control', 'no-store');
    response.json({ status: 'ok' });
  });
  app.get('/metrics', parts.metrics);
  app.use('/api', boundTries(parts.tries, parts.callerOf));
  app.use('/api/rooms', roomsApi(parts.rooms, parts.downloads), roomOwnerApi(parts.rooms));
  app.use('/api/relay', relayApi(parts.rooms));
  app.use('/guest', guestFiles(parts.guest.directory, parts.guest.files));
  app.use('/peerjs', parts.signalling);
  app.use(parts.page);
  app.use((request, response) => {
    response.status(404).type('text/plain').send(`There is no ${request.path} here.\n`);
  });
  app.use(lastResort((error) => parts.onError(error)));
  return app;
}

/** Every answer 403 means a wrong key. After too many of them, the server handles no request of that address for a moment. */
function boundTries(tries: RoutesParts['tries'], callerOf: CallerOf): RequestHandler {
  return (request, response, next) => {
    const address = callerOf(request);
    if (!tries.allows(address)) {
      // With an answer at once, an attacker would only guess faster.
      systemClock.setTimeout(() => {
        if (response.writableEnded || response.destroyed) return;
        response
          .status(429)
          .setHeader('Retry-After', '1')
          .setHeader('Cache-Control', 'no-store')
          .json({ error: 'Too many wrong keys came from your network. Wait a moment.' });
      }, TOO_MANY_TRIES_ANSWER_MS);
      return;
    }
    response.on('finish', () => {
      if (response.statusCode === 403) tries.wrong(address);
    });
    next();
  };
}

/** Visitors get the status and no internals of the server. */
function lastResort(onError: (error: Error) => void): ErrorRequestHandler {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- Express knows an error handler by its four parameters.
  return (error: unknown, request, response, _next) => {
    const status = typeof error === 'object' && error !== null && 'status' in error && typeof error.status === 'number' ? error.status : 500;
    if (status >= 500) onError(error instanceof Error ? error : new Error(String(error)));
    if (response.headersSent) {
      // If we passed the error on, Express would print it unchanged, past the terminal's limits.
      request.socket.destroy();
      return;
    }
    response
      .status(status)
      .type('text/plain')
      .send(status >= 500 ? 'The server could not answer this; its terminal says why.\n' : 'This request cannot be answered as it stands.\n');
  };
}
