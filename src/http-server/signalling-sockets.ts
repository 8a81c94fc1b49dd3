/**
 * The sockets of the signalling server, within their limits. This module is between the network and PeerJS's server,
 * which has no limits, and passes each socket to that server as a PeerSocket. It imports neither `ws` nor `peer`.
 */
import { EventEmitter } from 'node:events';
import type { Clock } from '../shared/clock.ts';
import { Counters } from '../shared/counters.ts';
import { CloseCode, type ServerSocket, type ServerSocketEvents } from '../net-relay/server/server-socket.ts';
import { TokenBucket } from '../net-relay/limits/token-bucket.ts';
import { AbsentPeers } from './absent-peers.ts';
import * as limits from './signalling-limits.ts';
import type { SignallingRefusal } from './signalling-limits.ts';
import { readSignallingMessage } from './signalling-message.ts';

/** The part of a `ws` socket that peer uses. Emits `message` (text) and `close`, and never throws. */
export interface PeerSocket extends EventEmitter {
  send(text: string): void;
  close(): void;
}

export interface SignallingFigures {
  readonly sockets: number;
  /** Unsent bytes for all receivers, including what Node keeps for each message. */
  readonly waitingBytes: number;
  /** Bytes that wait for peers that are not connected. */
  readonly absentBytes: number;
  readonly refusals: Readonly<Partial<Record<SignallingRefusal, number>>>;
}

interface Seat {
  readonly socket: ServerSocket;
  readonly peer: PeerSocket;
  waiting: number;
  /** Ended by a limit, or by peer: nothing more is read or sent. */
  ended: boolean;
  /** Its socket is closed. */
  gone: boolean;
}

export class SignallingSockets {
  readonly refusals = new Counters<SignallingRefusal>();
  private readonly clock: Clock;
  private readonly seats = new Set<Seat>();
  private readonly perAddress = new Map<string, number>();
  /** By id: the socket to which peer would send. */
  private readonly present = new Map<string, PeerSocket>();
  private readonly absent: AbsentPeers;
  private waiting = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    this.absent = new AbsentPeers(clock);
  }

  /** Why one more socket of this address cannot be taken, or null. `address`: null is not limited. */
  obstacle(address: string | null): 'full' | 'address-full' | null {
    if (this.seats.size >= limits.MAX_SOCKETS) return 'full';
    return address !== null && (this.perAddress.get(address) ?? 0) >= limits.MAX_SOCKETS_PER_ADDRESS ? 'address-full' : null;
  }

  /** Takes an open socket. The caller connects `events` to it and gives `peer` to peer. */
  connect(socket: ServerSocket, address: string | null): { readonly events: ServerSocketEvents; readonly peer: PeerSocket } {
    const bucket = new TokenBucket(limits.TOKENS_PER_SECOND, limits.TOKEN_BURST, this.clock.now());
    const peer: PeerSocket = Object.assign(new EventEmitter(), { send: (text: string) => this.send(seat, text), close: () => this.close(seat, 1000, '') });
    const seat: Seat = { socket, peer, waiting: 0, ended: false, gone: false };
    this.seats.add(seat);
    if (address !== null) this.perAddress.set(address, (this.perAddress.get(address) ?? 0) + 1);
    return {
      peer,
      events: {
        text: (text) => {
          if (seat.ended) return;
          const bytes = Buffer.byteLength(text);
          const message = bucket.take(this.clock.now(), Math.ceil(bytes / limits.BYTES_PER_TOKEN)) ? readSignallingMessage(text) : 'too-fast';
          if (message === 'too-fast' || message === null) this.refuse(seat, message ?? 'malformed');
          else if (message.to !== null && !this.present.has(message.to) && !this.absent.add(message.to, bytes + limits.MESSAGE_OVERHEAD_BYTES))
            this.refusals.add('absent-full');
          else peer.emit('message', text);
        },
        binary: () => {
          if (!seat.ended) this.refuse(seat, 'malformed');
        },
        closed: () => this.forget(seat, address),
      },
    };
  }

  /** Peer has registered the socket under this id and sent it what waited. Closes an older socket of the same id and token. */
  arrived(id: string, peer: PeerSocket): void {
    const older = this.present.get(id);
    this.present.set(id, peer);
    this.absent.arrived(id);
    if (older === undefined || older === peer) return;
    for (const seat of this.seats) if (seat.peer === older) this.close(seat, CloseCode.replaced, 'replaced');
  }

  /** Peer no longer knows the id. */
  left(id: string): void {
    this.present.delete(id);
  }

  figures(): SignallingFigures {
    return { sockets: this.seats.size, waitingBytes: this.waiting, absentBytes: this.absent.bytes, refusals: this.refusals.toJSON() };
  }

  private send(seat: Seat, text: string): void {
    if (seat.ended || seat.gone) return;
    const bytes = Buffer.byteLength(text) + limits.MESSAGE_OVERHEAD_BYTES;
    if (seat.waiting + bytes > limits.MAX_WAITING_BYTES_PER_RECEIVER) {
      this.cut(seat, 'too-slow');
      return;
    }
    while (this.waiting + bytes > limits.MAX_WAITING_BYTES) {
      const most = this.mostWaiting();
      if (most === null) break;
      this.cut(most, 'waiting-full');
      if (most === seat) return;
    }
    this.count(seat, bytes);
    seat.socket.sendText(text, () => this.count(seat, -bytes));
  }

  private count(seat: Seat, bytes: number): void {
    if (seat.gone) return;
    seat.waiting += bytes;
    this.waiting += bytes;
  }

  private mostWaiting(): Seat | null {
    let most: Seat | null = null;
    for (const seat of this.seats) if (seat.waiting > (most?.waiting ?? 0)) most = seat;
    return most;
  }

  private refuse(seat: Seat, refusal: SignallingRefusal): void {
    this.refusals.add(refusal);
    this.close(seat, CloseCode.refused, refusal);
  }

  /** Sends no close message: it would only wait behind the rest. */
  private cut(seat: Seat, refusal: SignallingRefusal): void {
    this.refusals.add(refusal);
    seat.ended = true;
    // The waiting messages are discarded with the socket.
    this.count(seat, -seat.waiting);
    seat.gone = true;
    seat.socket.terminate();
  }

  private close(seat: Seat, code: number, reason: string): void {
    if (seat.ended) return;
    seat.ended = true;
    seat.socket.close(code, reason);
  }

  private forget(seat: Seat, address: string | null): void {
    if (!this.seats.delete(seat)) return;
    seat.ended = true;
    this.count(seat, -seat.waiting);
    seat.gone = true;
    if (address !== null) {
      const left = (this.perAddress.get(address) ?? 1) - 1;
      if (left === 0) this.perAddress.delete(address);
      else this.perAddress.set(address, left);
    }
    seat.peer.emit('close');
  }
}
