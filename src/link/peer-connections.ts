/**
 * WebRTC connections to the other hosts of the room: who dials whom, and when. PeerJS owns the connections themselves;
 * the lanes of a migration are negotiated data channels of our own on them, because only those can be created at an
 * agreed moment and handed to a worker in the task that created them.
 *
 * A connection is accepted only from a host that announced it, with this nonce, through the relay (which has checked
 * the room's key): knowing a peer id is not enough. Announcement and connection travel over the sockets of two servers,
 * and either may arrive first. So a host dials only when the other has answered that it waits for this nonce:
 *
 *   A: invite, tells B the nonce ──► B: expect, tells A so ──► A: expected, dials ──► B: accepts
 */
import type { Clock } from '../shared/clock.ts';
import type { HostId } from '../shared/ids.ts';
import type { Disposable } from '../shared/disposable.ts';
import { DisposableBag } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import type { PeerConnection, Signalling } from './peer-signalling.ts';

/** After this time an attempt counts as failed for now, because the browser may never say so. */
const OPEN_LIMIT_MS = 3000;

/** `retrying`: tried again after an attempt that failed; nobody should wait for that. */
export type PeerState = 'none' | 'trying' | 'retrying' | 'open' | 'failed';

interface Attempt {
  /** Who makes the connection; 'inviting' until the other host waits for it. */
  role: 'inviting' | 'dialling' | 'expecting';
  state: Exclude<PeerState, 'none'>;
  readonly nonce: string;
  connection: PeerConnection | null;
  limit: Disposable | null;
}

export interface LaneChannels {
  readonly control: RTCDataChannel;
  readonly bulk: RTCDataChannel;
}

export class PeerConnections implements Disposable {
  /** A host's WebRTC state changed. */
  readonly changed = new Emitter<HostId>();
  private readonly clock: Clock;
  private readonly self: HostId;
  private readonly signalling: Signalling;
  private readonly attempts = new Map<HostId, Attempt>();
  private readonly bag = new DisposableBag();

  constructor(self: HostId, signalling: Signalling, clock: Clock) {
    this.clock = clock;
    this.self = self;
    this.signalling = this.bag.add(signalling);
    this.bag.add(
      signalling.onRegistered.on(() => {
        for (const [hostId, attempt] of this.attempts) this.dial(hostId, attempt);
      }),
    );
    this.bag.add(signalling.onConnection.on((connection) => this.answer(connection)));
  }

  /** Begins an attempt; the caller tells the host this nonce. False if it is connected or being tried already. */
  invite(hostId: HostId, nonce: string): boolean {
    if (this.state(hostId) === 'open' || this.isTried(hostId)) return false;
    this.begin(hostId, 'inviting', nonce);
    return true;
  }

  /**
   * This host will dial with this nonce once the caller has told it so. False if it should not: two hosts have invited
   * each other, and the one with the smaller id dials.
   */
  expect(hostId: HostId, nonce: string): boolean {
    if (this.isTried(hostId) && this.attempts.get(hostId)?.role !== 'expecting' && this.self < hostId) return false;
    this.begin(hostId, 'expecting', nonce);
    return true;
  }

  /** The host that was invited waits for the connection. */
  expected(hostId: HostId, nonce: string): void {
    const attempt = this.attempts.get(hostId);
    if (attempt?.role !== 'inviting' || attempt.nonce !== nonce) return;
    attempt.role = 'dialling';
    this.dial(hostId, attempt);
  }

  state(hostId: HostId): PeerState {
    return this.attempts.get(hostId)?.state ?? 'none';
  }

  /**
   * Creates the two lanes of a migration on the connection to this host, with the channel ids `base` and `base + 1`.
   * Hand them to a worker in the same task. Null when there is no open connection.
   */
  createLanes(hostId: HostId, base: number): LaneChannels | null {
    const attempt = this.attempts.get(hostId);
    const rtc = attempt?.state === 'open' ? (attempt.connection?.rtc ?? null) : null;
    // In any other state the connection may still open or recover; a lane that stays silent is replaced by another link.
    if (rtc === null || rtc.connectionState === 'closed' || rtc.connectionState === 'failed') return null;
    return {
      control: rtc.createDataChannel('control', { negotiated: true, id: base }),
      bulk: rtc.createDataChannel('bulk', { negotiated: true, id: base + 1 }),
    };
  }

  /** Closes the connection to a host that left the room. */
  forget(hostId: HostId): void {
    if (this.drop(hostId)) this.changed.emit(hostId);
  }

  dispose(): void {
    for (const hostId of [...this.attempts.keys()]) this.forget(hostId);
    this.changed.dispose();
    this.bag.dispose();
  }

  private isTried(hostId: HostId): boolean {
    const state = this.state(hostId);
    return state === 'trying' || state === 'retrying';
  }

  private begin(hostId: HostId, role: 'inviting' | 'expecting', nonce: string): void {
    const before = this.state(hostId);
    this.drop(hostId);
    const attempt: Attempt = { role, state: before === 'failed' || before === 'retrying' ? 'retrying' : 'trying', nonce, connection: null, limit: null };
    attempt.limit = this.clock.setTimeout(() => this.settle(hostId, attempt, 'failed'), OPEN_LIMIT_MS);
    this.attempts.set(hostId, attempt);
    this.changed.emit(hostId);
  }

  private drop(hostId: HostId): boolean {
    const attempt = this.attempts.get(hostId);
    if (attempt === undefined) return false;
    this.attempts.delete(hostId);
    attempt.limit?.dispose();
    attempt.connection?.close();
    return true;
  }

  private dial(hostId: HostId, attempt: Attempt): void {
    if (attempt.role !== 'dialling' || attempt.connection !== null || !this.signalling.registered) return;
    this.watch(hostId, attempt, this.signalling.dial(hostId, attempt.nonce));
  }

  private answer(connection: PeerConnection): void {
    const attempt = this.attempts.get(connection.hostId);
    if (attempt?.role !== 'expecting' || attempt.connection !== null || connection.nonce !== attempt.nonce) {
      connection.close();
      return;
    }
    this.watch(connection.hostId, attempt, connection);
  }

  private watch(hostId: HostId, attempt: Attempt, connection: PeerConnection): void {
    attempt.connection = connection;
    connection.opened.on(() => this.settle(hostId, attempt, 'open'));
    connection.ended.on(() => this.settle(hostId, attempt, 'failed'));
  }

  private settle(hostId: HostId, attempt: Attempt, state: 'open' | 'failed'): void {
    if (this.attempts.get(hostId) !== attempt || attempt.state === state) return;
    // A connection that opens late is still used. A failed one stays listed, so that a retry is a deliberate decision.
    attempt.state = state;
    if (attempt.limit !== null && state === 'open') {
      attempt.limit.dispose();
      attempt.limit = null;
    }
    this.changed.emit(hostId);
  }
}
