/** The host machine's network by Node's own modules. */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { connect, createServer, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { HostDatagrams, HostListener, HostNetwork, HostSocket, HostSocketHandlers } from './host-network.ts';

const NOBODY: HostSocketHandlers = {
  onConnect: () => undefined,
  onData: () => undefined,
  onEnd: () => undefined,
  onClose: () => undefined,
};

/** A busy listener's queue; the system cuts it to its own limit. */
const LISTEN_BACKLOG = 1024;

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN';
}

/** An exception of the gateway in one of its handlers: the socket is closed, the process goes on. */
type OnDefect = (error: unknown) => void;

class NodeHostSocket implements HostSocket {
  handlers: HostSocketHandlers = NOBODY;
  private readonly socket: Socket;

  private readonly onDefect: OnDefect;

  constructor(socket: Socket, onDefect: OnDefect) {
    this.socket = socket;
    this.onDefect = onDefect;
    let error: string | null = null;
    socket.pause();
    socket.setNoDelay(true);
    socket.on('connect', () => this.guard(() => this.handlers.onConnect()));
    socket.on('data', (data: Buffer) => this.guard(() => this.handlers.onData(data)));
    socket.on('end', () => this.guard(() => this.handlers.onEnd()));
    socket.on('error', (cause) => {
      error = errorCode(cause);
    });
    socket.on('close', () => this.guard(() => this.handlers.onClose(error)));
  }

  write(data: Uint8Array, done: () => void): void {
    // 'close' reports an error; a writer that waits for room must be woken in any case.
    this.socket.write(data, () => this.guard(done));
  }

  end(): void {
    this.socket.end();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  private guard(action: () => void): void {
    try {
      action();
    } catch (defect) {
      this.onDefect(defect);
      this.socket.destroy();
    }
  }
}

function listen(onDefect: OnDefect, address: string, port: number, onSocket: (socket: HostSocket) => void): Promise<HostListener> {
  return new Promise((resolve, reject) => {
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      onSocket(new NodeHostSocket(socket, onDefect));
    });
    server.once('error', reject);
    server.listen({ host: address, port, backlog: LISTEN_BACKLOG }, () => {
      server.removeListener('error', reject);
      // Out of file descriptors, say: the connection is lost, the listener stays.
      server.on('error', () => undefined);
      const bound = server.address();
      resolve({
        port: typeof bound === 'object' && bound !== null ? bound.port : port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            for (const socket of sockets) socket.destroy();
          }),
      });
    });
  });
}

function datagrams(onMessage: (data: Uint8Array, address: string, port: number) => void, onError: (code: string) => void): HostDatagrams {
  const socket = createSocket({ type: 'udp4' });
  let open = true;
  socket.on('message', (data, from) => onMessage(data, from.address, from.port));
  socket.on('error', (error) => onError(errorCode(error)));
  socket.bind(0);
  return {
    send(data, address, port) {
      // A single datagram that cannot be sent is lost, as on any network.
      if (open) socket.send(data, port, address, () => undefined);
    },
    close() {
      if (!open) return;
      open = false;
      socket.close();
    },
  };
}

/** Asking the system takes far longer than one packet may take; a new address is noticed up to this much later. */
const KEEP_OWN_ADDRESSES_MS = 1000;
let ownAddresses: { readonly at: number; readonly list: readonly string[] } | null = null;

function findOwnAddresses(): readonly string[] {
  const now = performance.now();
  if (ownAddresses === null || now - ownAddresses.at >= KEEP_OWN_ADDRESSES_MS) {
    const list = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .map(({ address }) => address);
    ownAddresses = { at: now, list };
  }
  return ownAddresses.list;
}

/**
 * The system's resolver blocks a thread of Node's small pool (4), which the server also needs for its files: names that
 * nobody answers for may delay each other, but never the files.
 */
const LOOKUPS_AT_A_TIME = 2;
let lookups = 0;
const waitingLookups: (() => void)[] = [];

async function resolve(name: string): Promise<string[]> {
  if (lookups >= LOOKUPS_AT_A_TIME) await new Promise<void>((turn) => void waitingLookups.push(turn));
  else lookups++;
  try {
    return (await lookup(name, { family: 4, all: true })).map((entry) => entry.address);
  } catch (error) {
    throw new Error(errorCode(error), { cause: error });
  } finally {
    // The free slot goes to the lookup that has waited longest.
    const next = waitingLookups.shift();
    if (next === undefined) lookups--;
    else next();
  }
}

/** `onDefect`: called with exceptions in the handlers of a socket, which is then closed. */
export function createNodeHostNetwork(onDefect: (error: unknown) => void): HostNetwork {
  return {
    listen: (address, port, onSocket) => listen(onDefect, address, port, onSocket),
    connect: (address, port) => new NodeHostSocket(connect({ host: address, port, allowHalfOpen: true }), onDefect),
    datagrams,
    ownAddresses: findOwnAddresses,
    resolve,
  };
}
