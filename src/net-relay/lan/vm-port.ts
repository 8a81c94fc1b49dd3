/**
 * One VM's port of the switch, for the VM's life. Which socket is behind it changes with the lease; the MAC and the IP
 * do not. It guards what the guest sends, and holds, releases and hands over what is sent to the guest.
 *
 *   away ──attach──► open ──hold──► held ──release / move──► releasing ──all handed out──► open
 *
 * "Confirmed" is separate from that: after a move, frames handed to the target are kept until it gave a sign of life.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { Ipv4Address, MacAddress } from '../../shared/ids.ts';
import type { Counters } from '../../shared/counters.ts';
import { guardFrame, parseIpv4, parseMac, type GuardRefusal } from './frame-guard.ts';
import { HoldBuffer, type HoldDrop } from './hold-buffer.ts';
import type { Station, StationSocket } from './station.ts';
import { TokenBucket } from '../limits/token-bucket.ts';
import { MAX_FRAMES_PER_SECOND, MAX_FRAME_BURST } from '../limits/server-limits.ts';

/** Frames released at once: half a full batch message, which a guest's receive ring of 256 takes easily. */
const RELEASE_BATCH_FRAMES = 32;
/** Between two batches: 8,000 frames a second, twice what the guest has been seen to take. */
const RELEASE_INTERVAL_MS = 4;

/** Why a frame from or to a guest went nowhere. */
export type PortDrop =
  | GuardRefusal
  | HoldDrop
  /** From a port whose lease has moved on. */
  | 'stale-epoch'
  /** From a target before its commit. */
  | 'not-committed'
  /** The frame is a sign of life that could not be stored. */
  | 'not-stored'
  | 'over-rate'
  /** To a guest whose owner's socket is away. */
  | 'owner-away'
  /** To a socket that does not read fast enough. */
  | 'slow-port'
  /** Given back outside a hold, or after it was drained. */
  | 'returned-late';

/** The socket behind the port. */
export interface FrameSink {
  deliver(frame: Uint8Array): void;
}

/** Frames and bytes that passed, since the VM was made or the relay started. */
export interface Traffic {
  framesFromGuest: number;
  bytesFromGuest: number;
  framesToGuest: number;
  bytesToGuest: number;
}

export class VmPort implements Station {
  readonly drops: Counters<PortDrop>;
  readonly traffic: Traffic = { framesFromGuest: 0, bytesFromGuest: 0, framesToGuest: 0, bytesToGuest: 0 };
  private readonly clock: Clock;
  private readonly mac: Uint8Array;
  private readonly ip: Uint8Array;
  private readonly bucket: TokenBucket;
  private readonly buffer: HoldBuffer;
  private socket: StationSocket | null = null;
  private sink: FrameSink | null = null;
  private flow: 'open' | 'held' | 'releasing' = 'open';
  private unconfirmed = false;
  private timer: Disposable | null = null;

  constructor(mac: MacAddress, ip: Ipv4Address, clock: Clock, drops: Counters<PortDrop>) {
    this.clock = clock;
    this.drops = drops;
    this.mac = parseMac(mac);
    this.ip = parseIpv4(ip);
    this.bucket = new TokenBucket(MAX_FRAMES_PER_SECOND, MAX_FRAME_BURST, clock.now());
    this.buffer = new HoldBuffer(drops);
  }

  /** Where frames of the guest go to. */
  plugInto(socket: StationSocket): void {
    this.socket = socket;
  }

  get held(): { readonly frames: number; readonly bytes: number } {
    return { frames: this.buffer.waiting, bytes: this.buffer.heldBytes };
  }

  get attached(): boolean {
    return this.sink !== null;
  }

  isBehind(sink: FrameSink): boolean {
    return this.sink === sink;
  }

  /** Sets the socket behind the port; null while the owner is away. Frames from any other socket are refused. */
  attach(sink: FrameSink | null): void {
    this.sink = sink;
    if (this.flow === 'releasing') this.pump();
  }

  /** A frame from the guest behind `from`; true if it went out. `stale` names why a socket not behind the port is refused. */
  send(from: FrameSink, frame: Uint8Array, stale: 'stale-epoch' | 'not-committed'): boolean {
    if (this.sink !== from) return this.drop(stale);
    if (!this.bucket.take(this.clock.now())) return this.drop('over-rate');
    const refusal = guardFrame(frame, this.mac, this.ip);
    if (refusal !== null) return this.drop(refusal);
    this.traffic.framesFromGuest += 1;
    this.traffic.bytesFromGuest += frame.length;
    this.socket?.send(frame);
    return true;
  }

  /** A frame for the guest, from the switch. */
  receive(frame: Uint8Array): void {
    // During a switchover, frames are kept even while the socket is away: the source or target may be on its way back.
    if (this.flow !== 'open' || this.unconfirmed) {
      this.buffer.push(frame, this.clock.now());
      if (this.flow === 'open') {
        this.flow = 'releasing';
        this.pump();
      }
    } else if (this.sink === null) this.drops.add('owner-away');
    else this.hand(this.sink, frame);
  }

  hold(): void {
    // If a hold follows a release at once, frames that still wait stay ahead of new ones.
    this.stopTimer();
    this.buffer.begin();
    this.flow = 'held';
  }

  /** Frames the source had not given to its guest, oldest first: they go ahead of everything that arrived during the hold. */
  giveBack(frames: readonly Uint8Array[], allowed: boolean): void {
    if (!allowed || this.flow !== 'held') this.drops.add('returned-late', frames.length);
    else this.buffer.giveBack(frames, this.clock.now());
  }

  forgetReturned(): void {
    if (this.flow === 'held') this.buffer.forgetReturned();
  }

  /** Ends the hold and releases the frames to the current socket. */
  release(): void {
    if (this.flow !== 'held') return;
    this.flow = 'releasing';
    this.pump();
  }

  /** The VM moved to `sink`: it gets the frames that waited; all are kept until confirm() or takeBack(). */
  moveTo(sink: FrameSink | null): void {
    this.unconfirmed = true;
    this.sink = sink;
    this.flow = 'held';
    this.release();
  }

  confirm(): void {
    this.unconfirmed = false;
    this.buffer.confirm();
    if (this.buffer.waiting === 0 && this.flow === 'releasing') this.open();
  }

  /** The VM goes back to the source: what the target got is delivered again, in order. */
  takeBack(sink: FrameSink | null): void {
    this.unconfirmed = false;
    this.stopTimer();
    this.sink = sink;
    this.buffer.rewind();
    this.flow = 'held';
    this.release();
  }

  /**
   * The owner has been away for a long time: the frames that wait for it are of no more use to its guest. During a
   * switchover, frames that are not too old are kept, because a host may still come for them.
   */
  expire(): void {
    if (this.sink !== null) return;
    if (this.flow === 'held' || this.unconfirmed) this.buffer.forgetOld(this.clock.now());
    else if (this.flow === 'releasing') {
      this.buffer.clear();
      this.flow = 'open';
    }
  }

  dispose(): void {
    this.stopTimer();
    this.buffer.clear();
    this.sink = null;
    this.socket?.dispose();
    this.socket = null;
  }

  private pump(): void {
    this.stopTimer();
    if (this.sink === null) return;
    this.handOut(RELEASE_BATCH_FRAMES);
    if (this.buffer.waiting === 0) this.open();
    else this.timer = this.clock.setTimeout(() => this.pump(), RELEASE_INTERVAL_MS);
  }

  private handOut(limit: number): void {
    if (this.sink === null) return;
    for (const frame of this.buffer.next(limit, this.clock.now())) this.hand(this.sink, frame);
    if (!this.unconfirmed) this.buffer.confirm();
  }

  private hand(sink: FrameSink, frame: Uint8Array): void {
    this.traffic.framesToGuest += 1;
    this.traffic.bytesToGuest += frame.length;
    sink.deliver(frame);
  }

  private open(): void {
    this.stopTimer();
    this.flow = 'open';
  }

  private drop(name: PortDrop): false {
    this.drops.add(name);
    return false;
  }

  private stopTimer(): void {
    this.timer?.dispose();
    this.timer = null;
  }
}
