/**
 * The host machine's network as the gateway sees it: sockets, datagrams and names, as ports. `node-host-network.ts` is
 * the real one; tests have their own.
 */

/** What a host socket tells its owner. */
export interface HostSocketHandlers {
  /** An outgoing connection is up. Never called for accepted ones. */
  onConnect(): void;
  onData(data: Uint8Array): void;
  /** The other side ended its half. */
  onEnd(): void;
  /** Nothing follows. `error`: a code such as ECONNREFUSED, or null after an orderly end. */
  onClose(error: string | null): void;
}

/** A TCP socket of the host machine; each half ends on its own. Starts paused. */
export interface HostSocket {
  handlers: HostSocketHandlers;
  /** Takes all of `data`; `done` is called once the system has it. One write at a time. */
  write(data: Uint8Array, done: () => void): void;
  /** Ends our half once everything written is out. */
  end(): void;
  pause(): void;
  resume(): void;
  /** Resets the connection (RST), at once. */
  reset(): void;
}

export interface HostListener {
  readonly port: number;
  close(): Promise<void>;
}

export interface HostDatagrams {
  send(data: Uint8Array, address: string, port: number): void;
  close(): void;
}

export interface HostNetwork {
  /** Port 0: any free one. Rejects with the system's error, e.g. EADDRINUSE. */
  listen(address: string, port: number, onSocket: (socket: HostSocket) => void): Promise<HostListener>;
  connect(address: string, port: number): HostSocket;
  /** A UDP socket on a port of its own. `onError`: it can no longer be used. */
  datagrams(onMessage: (data: Uint8Array, address: string, port: number) => void, onError: (code: string) => void): HostDatagrams;
  /** The machine's own IPv4 addresses, of all its networks. */
  ownAddresses(): readonly string[];
  /** IPv4 addresses of a name, as the system resolves it. Rejects with a code: ENOTFOUND, … */
  resolve(name: string): Promise<string[]>;
}
