/**
 * A relay and its clients in one process and in virtual time: sockets are queues, and a message arrives when the test
 * (or a seeded schedule) says so. Order is kept within each direction of a socket, as TCP keeps it.
 */
import type { ClientSocketEvents, OpenSocket } from '../client/open-socket.ts';
import type { SocketKind } from '../relay-server.ts';
import type { ServerSocket, ServerSocketEvents } from '../server-socket.ts';

export interface RelaySide {
  connect(kind: SocketKind, socket: ServerSocket): ServerSocketEvents;
}

type Delivery = () => void;

/** One socket; both directions. */
export class MemorySocket {
  readonly name: string;
  readonly toServer: Delivery[] = [];
  readonly toClient: Delivery[] = [];
  open = true;
  /** Of all binary messages so far. */
  bytesToServer = 0;
  private readonly client: ClientSocketEvents;
  private server: ServerSocketEvents | null = null;

  constructor(name: string, client: ClientSocketEvents) {
    this.name = name;
    this.client = client;
  }

  connectTo(relay: RelaySide | null, kind: SocketKind): void {
    this.toServer.push(() => {
      if (relay === null) {
        this.cut();
        return;
      }
      this.server = relay.connect(kind, {
        backlogBytes: 0,
        sendText: (text) => this.push(this.toClient, () => this.client.text(text)),
        sendBinary: (bytes) => {
          const copy = bytes.slice();
          this.push(this.toClient, () => this.client.binary(copy));
        },
        close: () => this.push(this.toClient, () => this.cut()),
        terminate: () => this.cut(),
      });
      this.toClient.push(() => this.client.opened());
    });
  }

  fromClient(data: string | Uint8Array): void {
    const copy = typeof data === 'string' ? data : data.slice();
    if (typeof data !== 'string') this.bytesToServer += data.length;
    this.push(this.toServer, () => (typeof copy === 'string' ? this.server?.text(copy) : this.server?.binary(copy)));
  }

  /** The client says goodbye: what it sent before still arrives. */
  closeFromClient(): void {
    this.push(this.toServer, () => {
      this.open = false;
      this.server?.closed(true);
    });
    this.toClient.length = 0;
  }

  /** The cable is cut: nothing under way arrives. */
  cut(): void {
    if (!this.open) return;
    this.open = false;
    this.toServer.length = 0;
    this.toClient.length = 0;
    this.server?.closed(false);
    this.client.closed();
  }

  private push(queue: Delivery[], delivery: Delivery): void {
    if (this.open) queue.push(delivery);
  }
}

export class MemoryNetwork {
  relay: RelaySide | null = null;
  readonly sockets = new Set<MemorySocket>();

  /** `name` tells the schedule whose socket it is. */
  openSocket(name: string): OpenSocket {
    return (url, events) => {
      const socket = new MemorySocket(name, events);
      this.sockets.add(socket);
      socket.connectTo(this.relay, (url.split('/').at(-1) ?? 'host') as SocketKind);
      return { backlogBytes: 0, send: (data) => socket.fromClient(data), close: () => socket.closeFromClient() };
    };
  }

  /** Every message that could arrive next. */
  deliverable(): Delivery[] {
    const heads: Delivery[] = [];
    for (const socket of this.sockets) {
      for (const queue of [socket.toServer, socket.toClient]) {
        if (queue.length > 0) heads.push(() => queue.shift()?.());
      }
      if (!socket.open && socket.toServer.length === 0 && socket.toClient.length === 0) this.sockets.delete(socket);
    }
    return heads;
  }

  /** Delivers until nothing is under way; lets promises run in between. */
  async settle(): Promise<void> {
    for (let idle = 0; idle < 3; ) {
      await ticks();
      const [next] = this.deliverable();
      if (next === undefined) idle += 1;
      else {
        idle = 0;
        next();
      }
    }
  }

  cut(name: string): void {
    for (const socket of [...this.sockets]) if (socket.name === name) socket.cut();
  }
}

/** Lets everything run that waits for nothing but its turn. */
export async function ticks(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await Promise.resolve();
}
