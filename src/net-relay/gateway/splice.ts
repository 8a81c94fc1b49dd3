/**
 * Joins a TCP connection into a guest with a socket of the host machine: bytes, half closes, resets and backpressure pass
 * through, both ways. At most one write is under way on the host socket; what arrives meanwhile stays in the
 * connection's receive buffer, and so closes the guest's window.
 */
import type { HostSocket } from './host-network.ts';
import type { TcpConnection } from './tcp/tcp-connection.ts';
import type { TcpCloseReason, TcpHandlers } from './tcp/types.ts';

/** Bytes given to the host socket in one write. */
const WRITE_BYTES = 256 * 1024;

export class Splice {
  private readonly connection: TcpConnection;
  private readonly socket: HostSocket;
  private readonly onOver: () => void;
  /** From the host, not yet taken by the connection. */
  private pending: Uint8Array | null = null;
  private hostEnded = false;
  private writing = false;
  private guestEndPassed = false;
  private guestOver: TcpCloseReason | null = null;
  private hostOver = false;

  /** Both sides are connected (or, for the socket, accepted). `onOver`: neither side is left. */
  constructor(connection: TcpConnection, socket: HostSocket, onOver: () => void) {
    this.connection = connection;
    this.socket = socket;
    this.onOver = onOver;
    connection.handlers = this.connectionHandlers();
    socket.handlers = {
      onConnect: () => undefined,
      onData: (data) => this.onHostData(data),
      onEnd: () => this.onHostEnd(),
      onClose: (error) => this.onHostClose(error),
    };
    socket.resume();
    this.pump();
  }

  private connectionHandlers(): TcpHandlers {
    return {
      onEstablished: () => undefined,
      onReadable: () => this.pump(),
      onWritable: () => void this.flushPending(),
      onClosed: (reason) => this.onGuestClosed(reason),
    };
  }

  private onHostData(data: Uint8Array): void {
    this.pending = data;
    if (!this.flushPending()) this.socket.pause();
  }

  /** False if something is left. */
  private flushPending(): boolean {
    if (this.pending !== null) {
      const taken = this.connection.write(this.pending);
      if (taken < this.pending.length) {
        this.pending = this.pending.subarray(taken);
        return false;
      }
      this.pending = null;
      this.socket.resume();
    }
    if (this.hostEnded) this.connection.shutdown();
    return true;
  }

  private onHostEnd(): void {
    this.hostEnded = true;
    this.flushPending();
  }

  private onHostClose(error: string | null): void {
    this.hostOver = true;
    if (this.guestOver === null) {
      // An orderly end of both halves leaves the guest side to finish by itself; anything else is a reset.
      if (error === null && this.hostEnded && this.guestEndPassed) this.connection.orphan();
      else this.connection.abort();
    }
    this.settle();
  }

  private onGuestClosed(reason: TcpCloseReason): void {
    this.guestOver = reason;
    this.pump();
    this.settle();
  }

  /** Moves what the guest sent to the host socket, one write at a time. */
  private pump(): void {
    if (this.writing || this.hostOver) return;
    if (this.connection.readable > 0) {
      this.writing = true;
      this.socket.write(this.connection.read(WRITE_BYTES), () => {
        this.writing = false;
        this.pump();
      });
      return;
    }
    if (this.connection.peerEnded) {
      if (this.guestEndPassed) return;
      this.guestEndPassed = true;
      this.socket.end();
    } else if (this.guestOver !== null) {
      this.socket.reset();
    }
  }

  private settle(): void {
    if (this.guestOver === null || !this.hostOver) return;
    this.onOver();
  }
}
