/** The host machine's network in memory: tests play its clients, its servers and its resolver. */
import type { HostDatagrams, HostListener, HostNetwork, HostSocket, HostSocketHandlers } from '../host-network.ts';

const NOBODY: HostSocketHandlers = { onConnect: () => undefined, onData: () => undefined, onEnd: () => undefined, onClose: () => undefined };

/** A socket whose other end is the test. */
export class MemorySocket implements HostSocket {
  handlers: HostSocketHandlers = NOBODY;
  readonly received: Uint8Array[] = [];
  paused = true;
  ended = false;
  wasReset = false;
  closed = false;
  /** While false, what is written stays "in the system's buffer", and `done` waits. */
  draining = true;
  private readonly undone: (() => void)[] = [];
  private readonly arriving: (Uint8Array | 'end')[] = [];
  private peerEnded = false;

  write(data: Uint8Array, done: () => void): void {
    if (this.closed) throw new Error('written to a closed socket');
    if (this.undone.length > 0) throw new Error('a second write while one is under way');
    this.received.push(data);
    if (this.draining) queueMicrotask(done);
    else this.undone.push(done);
  }

  drain(): void {
    this.draining = true;
    for (const done of this.undone.splice(0)) done();
  }

  end(): void {
    this.ended = true;
    this.closeIfBothEnded();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    while (!this.isPaused()) {
      const next = this.arriving.shift();
      if (next === undefined) return;
      if (next === 'end') {
        this.peerEnded = true;
        this.handlers.onEnd();
        this.closeIfBothEnded();
      } else this.handlers.onData(next);
    }
  }

  reset(): void {
    if (this.closed) return;
    this.wasReset = true;
    this.close(null);
  }

  /** The test's end sends, ends, or breaks the connection. */
  peerSends(data: Uint8Array): void {
    this.arriving.push(data);
    if (!this.paused) this.resume();
  }

  peerEnds(): void {
    this.arriving.push('end');
    if (!this.paused) this.resume();
  }

  peerResets(): void {
    this.close('ECONNRESET');
  }

  /** Bytes that wait because the gateway does not read. */
  get unread(): number {
    return this.arriving.reduce((sum, item) => sum + (item === 'end' ? 0 : item.length), 0);
  }

  close(error: string | null): void {
    if (this.closed) return;
    this.closed = true;
    this.handlers.onClose(error);
    for (const done of this.undone.splice(0)) done();
  }

  private isPaused(): boolean {
    return this.paused;
  }

  private closeIfBothEnded(): void {
    if (this.ended && this.peerEnded) this.close(null);
  }
}

export interface MemoryDatagrams {
  readonly sent: { readonly data: Uint8Array; readonly address: string; readonly port: number }[];
  readonly onMessage: (data: Uint8Array, address: string, port: number) => void;
  closed: boolean;
}

export class MemoryHostNetwork implements HostNetwork {
  readonly listeners = new Map<number, (socket: HostSocket) => void>();
  readonly dialled: { readonly address: string; readonly port: number; readonly socket: MemorySocket }[] = [];
  readonly udp: MemoryDatagrams[] = [];
  readonly names = new Map<string, string[]>();
  readonly own: string[] = [];
  private nextPort = 40_000;

  listen(_address: string, port: number, onSocket: (socket: HostSocket) => void): Promise<HostListener> {
    const bound = port === 0 ? this.nextPort++ : port;
    if (this.listeners.has(bound)) return Promise.reject(Object.assign(new Error('taken'), { code: 'EADDRINUSE' }));
    this.listeners.set(bound, onSocket);
    return Promise.resolve({
      port: bound,
      close: () => {
        this.listeners.delete(bound);
        return Promise.resolve();
      },
    });
  }

  /** A client of the host machine connects to one of the listeners. */
  dial(port: number): MemorySocket {
    const socket = new MemorySocket();
    this.listeners.get(port)?.(socket);
    return socket;
  }

  connect(address: string, port: number): HostSocket {
    const socket = new MemorySocket();
    this.dialled.push({ address, port, socket });
    return socket;
  }

  datagrams(onMessage: (data: Uint8Array, address: string, port: number) => void): HostDatagrams {
    const flow: MemoryDatagrams = { sent: [], onMessage, closed: false };
    this.udp.push(flow);
    return {
      send: (data, address, port) => void flow.sent.push({ data, address, port }),
      close: () => {
        flow.closed = true;
      },
    };
  }

  ownAddresses(): readonly string[] {
    return this.own;
  }

  resolve(name: string): Promise<string[]> {
    const addresses = this.names.get(name);
    return addresses === undefined ? Promise.reject(new Error('ENOTFOUND')) : Promise.resolve(addresses);
  }
}
