/**
 * A lane of a migration through the relay, for two hosts that cannot reach each other: a WebSocket of its own, and a
 * window so that neither the relay nor the other side has to keep more than LANE_WINDOW_BYTES. A lane that is lost does
 * not reconnect: the migration goes on over another link.
 */
import { MigrationError } from '../../migration/migration-error.ts';
import type { Lane, Link } from '../../migration/ports.ts';
import type { Clock } from '../../shared/clock.ts';
import { disposable, type Disposable } from '../../shared/disposable.ts';
import type { HostId } from '../../shared/ids.ts';
import {
  LANE_WINDOW_BYTES,
  MAX_LANE_MESSAGE_BYTES,
  RELAY_PROTOCOL_VERSION,
  relayToLaneSchema,
  type LaneToRelay,
  type RelayToLane,
} from '../protocol/relay-protocol.ts';
import { decodeText } from '../protocol/relay-wire.ts';
import { systemClock } from '../../shared/system-clock.ts';
import { openBrowserSocket, webSocketUrl, type ClientSocket, type OpenSocket } from './open-socket.ts';
import type { PortCredentials } from './port-connection.ts';

export interface RelayLaneOptions {
  /** `…/relay/lane`; http(s) or ws(s). */
  readonly url: string;
  readonly credentials: PortCredentials;
  /** The same on both sides, e.g. `MIGRATION-bulk`. */
  readonly laneId: string;
  readonly side: 'source' | 'target';
  readonly peerHostId: HostId;
  readonly clock?: Clock;
  readonly openSocket?: OpenSocket;
}

/** With more than this queued or in flight, the lane is not writable. The gap to the window is larger than what may be unacknowledged. */
const HIGH_WATER_BYTES = 768 * 1024;
/** Consumed bytes are reported in steps of this size. */
const TELL_CONSUMED_BYTES = 128 * 1024;
/** If the lane is not open within this time, the other link is tried. The relay itself gives up after ten seconds. */
const OPEN_LIMIT_MS = 10_000;
/** After close(), what was sent before may still leave for this long. */
const CLOSE_LIMIT_MS = 5000;
/** How often the lane checks for silence; five silent checks in a row count as a loss. */
const LOOK_MS = 1000;
const SILENT_LOOKS = 5;

function openRelayLane(options: RelayLaneOptions): Lane {
  return new RelayLane(options);
}

/** Both lanes of a migration; the ids end in `-control` and `-bulk`. */
export function openRelayLink(options: Omit<RelayLaneOptions, 'laneId'> & { readonly linkId: string }): Link {
  const control = openRelayLane({ ...options, laneId: `${options.linkId}-control` });
  const bulk = openRelayLane({ ...options, laneId: `${options.linkId}-bulk` });
  return {
    kind: 'relay',
    control,
    bulk,
    close() {
      control.close();
      bulk.close();
    },
  };
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

class RelayLane implements Lane {
  private readonly clock: Clock;
  private readonly socket: ClientSocket | null;
  private open = false;
  private socketGone = false;
  private closedBecause: string | null = null;
  private queue: Uint8Array<ArrayBuffer>[] = [];
  private queuedBytes = 0;
  private inFlight = 0;
  private consumed = 0;
  private early: Uint8Array[] = [];
  private messageListener: ((message: Uint8Array) => void) | null = null;
  private readonly closeListeners = new Set<(reason: string) => void>();
  private waiters: Waiter[] = [];
  private silentLooks = 0;
  private timer: Disposable | null = null;

  constructor(options: RelayLaneOptions) {
    this.clock = options.clock ?? systemClock;
    this.timer = this.clock.setTimeout(() => this.lost('The server did not join the two hosts within ten seconds.'), OPEN_LIMIT_MS);
    const { room, key, hostId, hostToken } = options.credentials;
    const { laneId, side, peerHostId } = options;
    const hello: LaneToRelay = { type: 'join-lane', version: RELAY_PROTOCOL_VERSION, room, key, hostId, hostToken, laneId, side, peerHostId };
    this.socket = (options.openSocket ?? openBrowserSocket)(webSocketUrl(options.url), {
      opened: () => this.tell(hello),
      text: (text) => this.receive(text),
      binary: (bytes) => this.take(bytes),
      closed: () => {
        this.socketGone = true;
        this.lost('The connection to the server was lost.');
      },
    });
  }

  send(message: Uint8Array): void {
    if (this.closedBecause !== null) throw new MigrationError('link-failed', this.closedBecause);
    if (message.length > MAX_LANE_MESSAGE_BYTES)
      throw new MigrationError('message-too-large', `A lane carries messages of at most ${MAX_LANE_MESSAGE_BYTES} bytes, not ${message.length}.`);
    // A copy: the caller may use its buffer again.
    this.queue.push(message.slice());
    this.queuedBytes += message.length;
    this.pump();
  }

  writable(): Promise<void> {
    if (this.closedBecause !== null) return Promise.reject(new MigrationError('link-failed', this.closedBecause));
    if (this.hasRoom()) return Promise.resolve();
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  onMessage(listener: (message: Uint8Array) => void): Disposable {
    this.messageListener = listener;
    const { early } = this;
    this.early = [];
    for (const message of early) this.hand(listener, message);
    return disposable(() => {
      if (this.messageListener === listener) this.messageListener = null;
    });
  }

  onClose(listener: (reason: string) => void): Disposable {
    if (this.closedBecause !== null) listener(this.closedBecause);
    else this.closeListeners.add(listener);
    return disposable(() => this.closeListeners.delete(listener));
  }

  close(): void {
    if (this.closedBecause !== null) return;
    this.closed('The connection was closed here.');
    this.timer?.dispose();
    // What was sent before still leaves, as far as the other side takes it in.
    if (this.queue.length > 0 && this.open) this.timer = this.clock.setTimeout(() => this.socket?.close(), CLOSE_LIMIT_MS);
    else this.socket?.close();
  }

  private hasRoom(): boolean {
    return this.queuedBytes + this.inFlight < HIGH_WATER_BYTES;
  }

  private pump(): void {
    while (this.open && !this.socketGone) {
      const [next] = this.queue;
      if (next === undefined || this.inFlight + next.length > LANE_WINDOW_BYTES) break;
      this.queue.shift();
      this.queuedBytes -= next.length;
      this.inFlight += next.length;
      this.socket?.send(next);
    }
    if (this.closedBecause !== null) {
      if (this.queue.length > 0) return;
      this.timer?.dispose();
      this.socket?.close();
    } else if (this.waiters.length > 0 && this.hasRoom()) {
      const { waiters } = this;
      this.waiters = [];
      for (const { resolve } of waiters) resolve();
    }
  }

  private receive(text: string): void {
    this.silentLooks = 0;
    const decoded = decodeText(relayToLaneSchema, text);
    if (!decoded.ok) {
      this.lost(`The server sent a message this page does not understand (${decoded.refusal}). Reload the page.`);
      return;
    }
    const message: RelayToLane = decoded.value;
    switch (message.type) {
      case 'lane-open':
        this.open = true;
        this.timer?.dispose();
        this.look();
        this.pump();
        break;
      case 'consumed':
        this.inFlight = Math.max(0, this.inFlight - message.bytes);
        this.pump();
        break;
      case 'heartbeat':
        this.tell(message);
        break;
      case 'refused':
        this.lost(message.reason);
        break;
    }
  }

  private take(bytes: Uint8Array): void {
    this.silentLooks = 0;
    if (this.closedBecause !== null) return;
    if (this.messageListener === null) this.early.push(bytes);
    else this.hand(this.messageListener, bytes);
  }

  private hand(listener: (message: Uint8Array) => void, message: Uint8Array): void {
    this.consumed += message.length;
    if (this.consumed >= TELL_CONSUMED_BYTES) {
      this.tell({ type: 'consumed', bytes: this.consumed });
      this.consumed = 0;
    }
    listener(message);
  }

  private tell(message: LaneToRelay): void {
    if (!this.socketGone) this.socket?.send(JSON.stringify(message));
  }

  private look(): void {
    this.timer = this.clock.setTimeout(() => {
      this.silentLooks += 1;
      if (this.silentLooks > SILENT_LOOKS) this.lost('The server has not answered for five seconds.');
      else this.look();
    }, LOOK_MS);
  }

  private lost(reason: string): void {
    this.timer?.dispose();
    if (!this.socketGone) this.socket?.close();
    this.queue = [];
    this.closed(reason);
  }

  private closed(reason: string): void {
    if (this.closedBecause !== null) return;
    this.closedBecause = reason;
    for (const { reject } of this.waiters) reject(new MigrationError('link-failed', reason));
    this.waiters = [];
    const listeners = [...this.closeListeners];
    this.closeListeners.clear();
    for (const listener of listeners) listener(reason);
  }
}
