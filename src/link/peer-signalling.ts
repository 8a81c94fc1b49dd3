/** PeerJS, which does WebRTC's signalling and owns the peer connections; the only file that imports it. */
import { Peer, type DataConnection, type PeerJSOption } from 'peerjs';
import type { Clock } from '../shared/clock.ts';
import type { HostId } from '../shared/ids.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';

/** Pause before the signalling server is tried again. */
const RETRY_MS = 2000;

export interface PeerServerAddress {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly secure: boolean;
}

/** A WebRTC connection to another host, being made or open. */
export interface PeerConnection {
  readonly hostId: HostId;
  /** The nonce that the dialling side sent along; it comes from outside, so it may be anything. */
  readonly nonce: unknown;
  /** Null before the connection is made and after it is given up. */
  readonly rtc: RTCPeerConnection | null;
  readonly opened: Emitter<void>;
  /** The connection failed or closed; may be emitted more than once. */
  readonly ended: Emitter<void>;
  close(): void;
}

/** Announces WebRTC connections to the other side: a server that forwards offers and answers by host id. */
export interface Signalling extends Disposable {
  /** The server knows this host; only then can it dial. */
  readonly registered: boolean;
  readonly onRegistered: Emitter<void>;
  /** Another host opens a connection. A listener that does not want it closes it. */
  readonly onConnection: Emitter<PeerConnection>;
  dial(hostId: HostId, nonce: string): PeerConnection;
}

export class PeerSignalling implements Signalling {
  readonly onRegistered = new Emitter<void>();
  readonly onConnection = new Emitter<PeerConnection>();
  registered = false;
  private readonly peer: Peer;
  private disposed = false;

  constructor(self: HostId, token: string, server: PeerServerAddress, clock: Clock) {
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
      this.onRegistered.emit();
    });
    this.peer.on('connection', (connection) => this.onConnection.emit(watched(connection)));
    this.peer.on('disconnected', () => {
      this.registered = false;
      if (this.disposed) return;
      clock.setTimeout(() => {
        if (!this.disposed && this.peer.disconnected && !this.peer.destroyed) this.peer.reconnect();
      }, RETRY_MS);
    });
    // Failures show as a connection that does not open in time; PeerJS' errors name no host.
    this.peer.on('error', () => undefined);
  }

  dial(hostId: HostId, nonce: string): PeerConnection {
    return watched(this.peer.connect(hostId, { serialization: 'json', metadata: { nonce } }));
  }

  dispose(): void {
    this.disposed = true;
    this.onRegistered.dispose();
    this.onConnection.dispose();
    this.peer.destroy();
  }
}

function watched(connection: DataConnection): PeerConnection {
  const opened = new Emitter<void>();
  const ended = new Emitter<void>();
  connection.on('open', () => opened.emit());
  connection.on('close', () => ended.emit());
  connection.on('error', () => ended.emit());
  connection.on('iceStateChanged', (state) => {
    if (state === 'failed' || state === 'closed') ended.emit();
  });
  const metadata: unknown = connection.metadata;
  return {
    hostId: connection.peer as HostId,
    nonce: typeof metadata === 'object' && metadata !== null && 'nonce' in metadata ? metadata.nonce : undefined,
    get rtc() {
      // PeerJS declares it as always there, and deletes it on close.
      return (connection.peerConnection as RTCPeerConnection | null | undefined) ?? null;
    },
    opened,
    ended,
    close: () => connection.close(),
  };
}
