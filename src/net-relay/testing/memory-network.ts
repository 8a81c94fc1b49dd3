/**
 * A relay and its clients in one process and in virtual time: sockets are queues, and a message arrives when the test
 * (or a seeded schedule) says so. Order is kept within each direction of a socket, as TCP keeps it.
 */
import type { ClientSocketEvents, OpenSocket } from '../client/open-socket.ts';
import type { SocketKind } from '../server/relay-server.ts';
import type { ServerSocket, ServerSocketEvents } from '../server/server-socket.ts';

export interface RelaySide {
  connect(kind: SocketKind, socket: ServerSocket): ServerSocketEvents;
}

type Delivery = () => void;

export type Direction = 'toServer' | 'toClient';

/** One socket; both directions. */
export class MemorySocket {
  readonly name: string;
  readonly toServer: Delivery[] = [];
  readonly toClient: Delivery[] = [];
  /** Directions in which nothing arrives for the time being. */
  readonly stalled = new Set<Direction>();
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
    if (relay === null) {
      this.break('toServer', 'toClient');
      return;
    }
    this.toServer.push(() => {
      this.server = relay.connect(kind, {
        backlogBytes: 0,
        sendText: (text) => this.push(this.toClient, () => this.client.text(text)),
        sendUtf8: (utf8) => this.push(this.toClient, () => this.client.text(new TextDecoder().decode(utf8))),
        sendBinary: (bytes) => {
          const copy = bytes.slice();
          this.push(this.toClient, () => this.client.binary(copy));
        },
        pause: () => void this.stalled.add('toServer'),
        resume: () => void this.stalled.delete('toServer'),
        close: () => this.push(this.toClient, () => this.cut()),
        // What was sent before still arrives.
        terminate: () => this.push(this.toClient, () => this.cut()),
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

  /**
   * The connection breaks. What is under way is lost in the directions named and still arrives in the others; each end
   * hears of the break behind what reaches it.
   */
  break(...lost: readonly Direction[]): void {
    if (!this.open) return;
    this.open = false;
    for (const direction of lost) this[direction].length = 0;
    this.toServer.push(() => this.server?.closed(false));
    this.toClient.push(() => this.client.closed());
  }

  /** The same, and an end that has died hears nothing any more; nor does the other one if the death goes unnoticed. */
  die(end: 'client' | 'server', noticed: boolean): void {
    const lost = end === 'client' ? 'toClient' : 'toServer';
    this.break(lost);
    this[lost].length = 0;
    if (end === 'server') this.server = null;
    if (!noticed) this[end === 'client' ? 'toServer' : 'toClient'].length = 0;
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

  /** Every message that could arrive next, in either direction. */
  deliverable(): Delivery[] {
    return (['toServer', 'toClient'] as const).flatMap((direction) => this.arrivals(direction).map(({ deliver }) => deliver));
  }

  /** The first message of every socket that could arrive next in this direction: all, or at the sockets of this name. */
  arrivals(direction: Direction, name: string | null = null): { readonly socket: MemorySocket; readonly deliver: Delivery }[] {
    const heads: { readonly socket: MemorySocket; readonly deliver: Delivery }[] = [];
    for (const socket of this.sockets) {
      const queue = socket[direction];
      if (queue.length > 0 && !socket.stalled.has(direction) && (name === null || socket.name === name))
        heads.push({ socket, deliver: () => queue.shift()?.() });
      if (!socket.open && socket.toServer.length === 0 && socket.toClient.length === 0) this.sockets.delete(socket);
    }
    return heads;
  }

  /** Delivers until nothing is under way; lets promises run in between. */
  async settle(): Promise<void> {
    for (let idle = 0; idle < 3;) {
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

/** Runs everything that waits for nothing but its turn. */
export async function ticks(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await Promise.resolve();
}
