/** A cable between a tab and the server that can be pulled: the tab lives on, as on a computer that sleeps or lost its network. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Cable {
  /** The server's address through this cable. */
  readonly origin: string;
  /** Breaks every connection, and lets none be made until `mend`. */
  pull(): void;
  mend(): void;
  close(): Promise<void>;
}

export async function openCable(origin: string): Promise<Cable> {
  const { hostname, port } = new URL(origin);
  const sockets = new Set<Socket>();
  let pulled = false;
  const server = createServer((near) => {
    if (pulled) {
      near.destroy();
      return;
    }
    const far = connect(Number(port), hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const pull = (): void => {
    pulled = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pull,
    mend() {
      pulled = false;
    },
    async close() {
      pull();
      server.close();
      await once(server, 'close');
    },
  };
}
