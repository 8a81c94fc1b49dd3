import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Arrivals } from './arrivals.ts';
import { allowHosts, refuseForeignHost, type HostCheck } from './host-names.ts';
import { ListenError, sentenceForListenError } from './listen-error.ts';

export interface Listener {
  readonly server: Server;
  /** The real port, also when 0 was asked for. */
  readonly port: number;
  /** The check of a request's Host header. Upgrades do not pass through `serve`, so their handler must apply this check, too. */
  readonly allowsHost: HostCheck;
  /** Answers every request from now on; until then they get "503, being prepared". */
  serve(handler: (request: IncomingMessage, response: ServerResponse) => void): void;
  /** Stops listening and cuts every connection, upgraded ones too. */
  close(): Promise<void>;
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | null;
  /** Host names that it accepts besides loopback's and `host`. */
  readonly allowedHosts?: readonly string[];
  /** Decides when a connection is admitted; if absent, every connection is admitted at once. */
  readonly arrivals?: Pick<Arrivals, 'turn'>;
  readonly log?: (line: string) => void;
}

/** Opens the port. Rejects with a ListenError whose message is for the person who started the server. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const allowsHost = allowHosts([options.host, ...(options.allowedHosts ?? [])]);
  let handler = beingPrepared;
  const dispatch = (request: IncomingMessage, response: ServerResponse): void => {
    const { host } = request.headers;
    if (allowsHost(host)) handler(request, response);
    else refuseForeignHost(host, response);
  };
  const server = makeServer(options.tls, dispatch);
  const sockets = new Set<Socket>();
  // The server's own listeners for new connections.
  const taking = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    const admit = (): void => {
      for (const take of taking) take.call(server, socket);
    };
    if (options.arrivals === undefined) admit();
    else options.arrivals.turn(socket, admit);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ListenError(sentenceForListenError(error, options.host, options.port))));
    server.listen(options.port, options.host, resolve);
  });
  // A connection could not be accepted: its client tries again, and the server goes on.
  server.on('error', (error) => options.log?.(`A connection could not be accepted (${error.message}).`));
  return {
    server,
    port: (server.address() as AddressInfo).port,
    allowsHost,
    serve: (next) => {
      handler = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function makeServer(
  tls: { readonly cert: Buffer; readonly key: Buffer } | null,
  dispatch: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  if (tls === null) return createServer(dispatch);
  try {
    return createSecureServer(tls, dispatch);
  } catch (error) {
    throw new ListenError(
      `--tls: the certificate and key cannot be used (${error instanceof Error ? error.message : String(error)}). Both must be PEM files that belong together.`,
    );
  }
}

function beingPrepared(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(503, { 'Content-Type': 'text/plain; charset=utf-8', 'Retry-After': '2', 'Cache-Control': 'no-store' });
  response.end('TabMotion is being prepared; the terminal it was started in shows how far it is.\n');
}
