/**
 * WebRTC connections to the other hosts of the room; the only file that imports PeerJS. PeerJS does the signalling and
 * owns the peer connection; the lanes of a migration are negotiated data channels of our own on it, because only those
 * can be created at an agreed moment and handed to a worker in the task that created them.
 *
 * A connection is accepted only from a host that announced it, with this nonce, through the relay (which has checked
 * the room's key): knowing a peer id is not enough.
 */
import { Peer, type DataConnection, type PeerJSOption } from 'peerjs';
import type { HostId } from '../shared/ids.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';

/** A WebRTC attempt is given up for the time being after this; `failed` may never be reported by the browser. */
const OPEN_LIMIT_MS = 3000;
/** Pause before the signalling server is tried again. */
const SIGNALLING_RETRY_MS = 2000;

export type PeerState = 'none' | 'trying' | 'open' | 'failed';

export interface PeerServerAddress {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly secure: boolean;
}

interface PeerEntry {
  state: PeerState;
  nonce: string;
  connection: DataConnection | null;
  limit: ReturnType<typeof setTimeout> | null;
}

export interface LaneChannels {
  readonly control: RTCDataChannel;
  readonly bulk: RTCDataChannel;
}

export class PeerSignalling implements Disposable {
  /** A host's WebRTC state changed. */
  readonly changed = new Emitter<HostId>();
  private readonly peers = new Map<HostId, PeerEntry>();
  private readonly peer: Peer;
  private registered = false;
  private disposed = false;

  constructor(self: HostId, token: string, server: PeerServerAddress) {
    const options: PeerJSOption = {
      host: server.host,
      port: server.port,
      path: server.path,
      secure: server.secure,
      token,
      // Our own server only: PeerJS' defaults name public servers.
      config: { iceServers: [{ urls: `stun:${server.host}:${server.port}` }] },
    };
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- PeerJS declares its options as a class and takes any object of that shape
    this.peer = new Peer(self, options);
    this.peer.on('open', () => {
      this.registered = true;
      for (const [hostId, entry] of this.peers) {
        if (entry.state === 'trying' && entry.connection === null && this.initiates.has(hostId)) this.dial(hostId, entry);
      }
    });
    this.peer.on('connection', (connection) => this.answer(connection));
    this.peer.on('disconnected', () => {
      this.registered = false;
      if (this.disposed) return;
      setTimeout(() => {
        if (!this.disposed && this.peer.disconnected && !this.peer.destroyed) this.peer.reconnect();
      }, SIGNALLING_RETRY_MS);
    });
    // Failures show as a connection that does not open in time; PeerJS' errors name no host.
    this.peer.on('error', () => undefined);
  }

  private readonly initiates = new Set<HostId>();

  /** Connects to a host that has been told this nonce. Does nothing if it is connected or being tried. */
  connect(hostId: HostId, nonce: string): void {
    if (!this.begin(hostId, nonce)) return;
    this.initiates.add(hostId);
    const entry = this.peers.get(hostId);
    if (this.registered && entry !== undefined) this.dial(hostId, entry);
  }

  /** Accepts a connection from this host with this nonce. */
  expect(hostId: HostId, nonce: string): void {
    this.initiates.delete(hostId);
    this.forget(hostId);
    this.begin(hostId, nonce);
  }

  state(hostId: HostId): PeerState {
    return this.peers.get(hostId)?.state ?? 'none';
  }

  /**
   * Creates the two lanes of a migration on the connection to this host, with the channel ids `base` and `base + 1`.
   * Hand them to a worker in the same task. Null when there is no open connection.
   */
  createLanes(hostId: HostId, base: number): LaneChannels | null {
    const entry = this.peers.get(hostId);
    const connection = entry?.state === 'open' ? (entry.connection?.peerConnection) : undefined;
    // Any other state may still become, or be again, a connection; a lane that stays silent is replaced by another link.
    if (connection === undefined || connection.connectionState === 'closed' || connection.connectionState === 'failed') return null;
    return {
      control: connection.createDataChannel('control', { negotiated: true, id: base }),
      bulk: connection.createDataChannel('bulk', { negotiated: true, id: base + 1 }),
    };
  }

  /** Closes the connection to a host that left the room. */
  forget(hostId: HostId): void {
    const entry = this.peers.get(hostId);
    if (entry === undefined) return;
    this.peers.delete(hostId);
    if (entry.limit !== null) clearTimeout(entry.limit);
    entry.connection?.close();
    this.changed.emit(hostId);
  }

  dispose(): void {
    this.disposed = true;
    for (const hostId of [...this.peers.keys()]) this.forget(hostId);
    this.changed.dispose();
    this.peer.destroy();
  }

  private begin(hostId: HostId, nonce: string): boolean {
    const known = this.peers.get(hostId);
    if (known !== undefined && (known.state === 'open' || known.state === 'trying')) return false;
    if (known !== undefined) this.forget(hostId);
    const entry: PeerEntry = { state: 'trying', nonce, connection: null, limit: null };
    entry.limit = setTimeout(() => this.settle(hostId, entry, 'failed'), OPEN_LIMIT_MS);
    this.peers.set(hostId, entry);
    this.changed.emit(hostId);
    return true;
  }

  private dial(hostId: HostId, entry: PeerEntry): void {
    const connection = this.peer.connect(hostId, { serialization: 'json', metadata: { nonce: entry.nonce } });
    this.watch(hostId, entry, connection);
  }

  private answer(connection: DataConnection): void {
    const hostId = connection.peer as HostId;
    const entry = this.peers.get(hostId);
    const metadata: unknown = connection.metadata;
    const nonce = typeof metadata === 'object' && metadata !== null && 'nonce' in metadata ? metadata.nonce : undefined;
    if (entry === undefined || entry.connection !== null || nonce !== entry.nonce) {
      connection.close();
      return;
    }
    this.watch(hostId, entry, connection);
  }

  private watch(hostId: HostId, entry: PeerEntry, connection: DataConnection): void {
    entry.connection = connection;
    connection.on('open', () => this.settle(hostId, entry, 'open'));
    connection.on('close', () => this.settle(hostId, entry, 'failed'));
    connection.on('error', () => this.settle(hostId, entry, 'failed'));
    connection.on('iceStateChanged', (state) => {
      if (state === 'failed' || state === 'closed') this.settle(hostId, entry, 'failed');
    });
  }

  private settle(hostId: HostId, entry: PeerEntry, state: 'open' | 'failed'): void {
    if (this.peers.get(hostId) !== entry || entry.state === state) return;
    // A connection that opens late is used all the same; one that failed stays listed, so that a retry is a decision.
    entry.state = state;
    if (entry.limit !== null && state === 'open') {
      clearTimeout(entry.limit);
      entry.limit = null;
    }
    this.changed.emit(hostId);
  }
}
