/**
 * A connection to the relay that reconnects by itself: says hello whenever it opens, answers heartbeats, detects
 * silence, tries again with growing pauses. It knows neither hosts nor ports.
 */
import type * as v from 'valibot';
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import { Emitter } from '../../shared/emitter.ts';
import { MAX_BINARY_MESSAGE_BYTES } from '../protocol/relay-protocol.ts';
import type { Attempt } from '../protocol/attempt.ts';
import { decodeText } from '../protocol/relay-wire.ts';
import { openBrowserSocket, webSocketUrl, type ClientSocket, type OpenSocket } from './open-socket.ts';
import { systemClock } from '../../shared/system-clock.ts';

export type RelaySocketState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'connected' }
  /** Reconnects by itself; the reason is a sentence. */
  | { readonly kind: 'lost'; readonly reason: string }
  /** Final; the reason is the relay's own sentence. */
  | { readonly kind: 'refused'; readonly cause: string; readonly reason: string };

/** What every message from the relay may be, besides its own. */
type Incoming = { readonly type: string };

export interface RelaySocketOptions<S extends v.GenericSchema<unknown, Incoming>> {
  readonly url: string;
  readonly schema: S;
  /** The first message of each connection. */
  hello(attempt: Attempt): unknown;
  /** True if this message means that the relay accepted the hello. */
  accepts(message: v.InferOutput<S>): boolean;
  onMessage(message: v.InferOutput<S>): void;
  onBinary?(bytes: Uint8Array): void;
  /** Called after the heartbeat has been sent back. */
  onHeartbeat?(heartbeat: v.InferOutput<S>): void;
  readonly clock?: Clock;
  readonly openSocket?: OpenSocket;
  /** 0..1, spreads the attempts of many clients. */
  readonly random?: () => number;
}

/** The first attempt after a loss comes almost at once: most losses are short. */
const FIRST_RETRY_MS = 100;
/** A relay that is back is found within this time. */
const LONGEST_RETRY_MS = 3000;
/** How often it checks for silence; SILENT_LOOKS silent checks in a row count as a loss; a late timer counts once. */
const LOOK_MS = 1000;
const SILENT_LOOKS = 5;
/** Temporary refusals. */
const PASSING_REFUSALS: readonly string[] = ['relay-full', 'address-full', 'too-many-tries', 'too-slow'];

export class RelaySocket<S extends v.GenericSchema<unknown, Incoming>> implements Disposable {
  readonly onState = new Emitter<RelaySocketState>();
  private readonly options: RelaySocketOptions<S>;
  private readonly clock: Clock;
  private socket: ClientSocket | null = null;
  private present: RelaySocketState = { kind: 'connecting' };
  private retryMs = FIRST_RETRY_MS;
  private silentLooks = 0;
  private timer: Disposable | null = null;
  private attempt = 0;
  private readonly client: string;
  private disposed = false;

  constructor(options: RelaySocketOptions<S>) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.client = (options.random ?? Math.random)().toString(36).slice(2) || '0';
    this.open();
  }

  get state(): RelaySocketState {
    return this.present;
  }

  get backlogBytes(): number {
    return this.socket?.backlogBytes ?? 0;
  }

  /** False if there is no connection that the relay has accepted. */
  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (this.present.kind !== 'connected' || this.socket === null) return false;
    this.socket.send(data);
    return true;
  }

  /** No further attempt; the reason is for people. */
  refuse(cause: string, reason: string): void {
    this.end();
    this.become({ kind: 'refused', cause, reason });
  }

  dispose(): void {
    if (this.disposed) return;
    this.end();
    this.onState.dispose();
  }

  private end(): void {
    this.disposed = true;
    this.timer?.dispose();
    this.timer = null;
    this.dropSocket();
  }

  private open(): void {
    const attempt = ++this.attempt;
    const current = (): boolean => attempt === this.attempt && !this.disposed;
    this.silentLooks = 0;
    this.look();
    const events = {
      opened: () => {
        if (current()) this.socket?.send(JSON.stringify(this.options.hello({ client: this.client, number: attempt })));
      },
      text: (text: string) => {
        if (current()) this.receive(text);
      },
      binary: (bytes: Uint8Array) => {
        if (!current() || this.present.kind !== 'connected') return;
        this.silentLooks = 0;
        if (bytes.length <= MAX_BINARY_MESSAGE_BYTES) this.options.onBinary?.(bytes);
      },
      closed: () => {
        if (current()) this.lose('The connection to the server was lost.');
      },
    };
    try {
      this.socket = (this.options.openSocket ?? openBrowserSocket)(webSocketUrl(this.options.url), events);
    } catch (error) {
      this.lose(`The connection to the server cannot be opened (${error instanceof Error ? error.message : String(error)}).`);
    }
  }

  private receive(text: string): void {
    this.silentLooks = 0;
    const decoded = decodeText(this.options.schema, text);
    if (!decoded.ok) {
      this.lose(`The server sent a message this page does not understand (${decoded.refusal}). Reload the page.`);
      return;
    }
    const message: Incoming = decoded.value;
    if (message.type === 'heartbeat') {
      this.socket?.send(text);
      this.options.onHeartbeat?.(decoded.value);
    } else if (message.type === 'refused') {
      const { cause, reason } = message as Incoming & { cause: string; reason: string };
      if (PASSING_REFUSALS.includes(cause)) this.lose(reason);
      else this.refuse(cause, reason);
    } else {
      if (this.present.kind !== 'connected') {
        if (!this.options.accepts(decoded.value)) return;
        this.retryMs = FIRST_RETRY_MS;
        // The owner hears the message first, so that in `connected` it knows what was agreed.
        this.options.onMessage(decoded.value);
        this.become({ kind: 'connected' });
        return;
      }
      this.options.onMessage(decoded.value);
    }
  }

  private lose(reason: string): void {
    this.dropSocket();
    this.timer?.dispose();
    const wait = this.retryMs * (0.5 + (this.options.random ?? Math.random)() / 2);
    this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
    this.timer = this.clock.setTimeout(() => this.open(), wait);
    if (this.present.kind !== 'lost') this.become({ kind: 'lost', reason });
  }

  private dropSocket(): void {
    this.attempt += 1;
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private look(): void {
    this.timer = this.clock.setTimeout(() => {
      this.silentLooks += 1;
      if (this.silentLooks > SILENT_LOOKS) this.lose('The server has not answered for five seconds.');
      else this.look();
    }, LOOK_MS);
  }

  private become(state: RelaySocketState): void {
    this.present = state;
    this.onState.emit(state);
  }
}
