/**
 * One socket at the relay: text in and out by schema, heartbeats, bounds. It knows nothing of rooms or leases.
 */
import type * as v from 'valibot';
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import { Pace } from '../limits/pace.ts';
import { decodeText, type EncodedText, type TextRefusal } from '../protocol/relay-wire.ts';
import { CloseCode, type ServerSocket, type ServerSocketEvents } from './server-socket.ts';
import { MAX_FRAME_BACKLOG_BYTES, MAX_PAUSE_MS, MAX_TEXT_BACKLOG_BYTES, SOCKET_PACE } from '../limits/server-limits.ts';

/** After this many heartbeats in a row without a message from the client, it is gone or frozen. */
const SILENT_HEARTBEATS = 5;
/** The first message must arrive within this many heartbeats. */
const HELLO_HEARTBEATS = 5;

export type ConnectionRefusal =
  TextRefusal | 'silent' | 'no-hello' | 'too-slow' | 'waiting-full' | 'slowed' | 'binary-on-host-socket' | 'bad-frames' | 'lane-overrun';

interface Refused {
  readonly type: 'refused';
}

/** `S`: what may come in; `Out`: what goes out. */
export class ClientConnection<S extends v.GenericSchema, Out extends { readonly type: string }> {
  private readonly socket: ServerSocket;
  private readonly schema: S;
  private readonly counters: { add(name: ConnectionRefusal): void };
  private readonly clock: Clock;
  private silentBeats = 0;
  private spoken = false;
  private open = true;
  private paces: readonly Pace[];
  /** Set while nothing is read. */
  private resuming: Disposable | null = null;
  /** Set once the first message was accepted. */
  onMessage: (message: v.InferOutput<S>) => void = () => undefined;
  onBinary: (bytes: Uint8Array) => void = () => undefined;
  onClosed: (orderly: boolean) => void = () => undefined;
  /** Runs before any text is sent, so that frames handed over earlier leave earlier. */
  beforeText: () => void = () => undefined;

  /** The last heartbeat that came back, by the `at` that it had, and after how long. */
  echo: { readonly at: number; readonly rttMs: number } | null = null;

  /** `clock`: also the clock of the heartbeats' `at`. `paces`: the paces at which the socket is read. */
  constructor(socket: ServerSocket, schema: S, counters: { add(name: ConnectionRefusal): void }, clock: Clock, paces: readonly Pace[] = []) {
    this.socket = socket;
    this.clock = clock;
    this.paces = [new Pace(SOCKET_PACE, clock.now()), ...paces];
    this.schema = schema;
    this.counters = counters;
  }

  /** To be wired to the socket. */
  readonly events: ServerSocketEvents = {
    text: (text) => {
      if (!this.open) return;
      this.silentBeats = 0;
      this.charge(1, text.length);
      const decoded = decodeText(this.schema, text);
      if (!decoded.ok) {
        this.counters.add(decoded.refusal);
        this.refuse({
          cause: 'malformed',
          reason: `The relay does not understand this message (${decoded.refusal}); the page may be of another version than the server: reload it.`,
        });
        return;
      }
      this.spoken = true;
      this.hearEcho(decoded.value);
      this.onMessage(decoded.value);
    },
    binary: (bytes) => {
      if (!this.open) return;
      this.silentBeats = 0;
      this.charge(0, bytes.length);
      this.onBinary(bytes);
    },
    closed: (orderly) => {
      if (!this.open) return;
      this.end(orderly);
    },
  };

  /** From now on, incoming messages count towards this pace too. */
  sharePace(pace: Pace): void {
    this.paces = [...this.paces, pace];
  }

  /** What came in is forwarded to others, which counts as this many more messages and bytes. */
  charge(messages: number, bytes: number): void {
    const now = this.clock.now();
    const waitMs = Math.max(...this.paces.map((pace) => pace.charge(now, messages, bytes)));
    if (waitMs === 0 || !this.open) return;
    if (this.resuming === null) {
      this.count('slowed');
      this.socket.pause();
    }
    this.resuming?.dispose();
    this.resuming = this.clock.setTimeout(
      () => {
        this.resuming = null;
        this.silentBeats = 0;
        this.socket.resume();
      },
      Math.min(waitMs, MAX_PAUSE_MS),
    );
  }

  get isOpen(): boolean {
    return this.open;
  }

  send(message: Out): void {
    if (this.isReadyForText()) this.socket.sendText(JSON.stringify(message));
  }

  /** A message that goes to others too, encoded once for all of them. */
  sendEncoded(message: EncodedText<Out>): void {
    if (this.isReadyForText()) this.socket.sendUtf8(message.utf8);
  }

  /** False if the socket is too far behind (`maxBacklogBytes`; frames may be lost, a lane's window bounds it already). */
  sendBinary(bytes: Uint8Array, maxBacklogBytes = MAX_FRAME_BACKLOG_BYTES): boolean {
    if (!this.open || this.socket.backlogBytes > maxBacklogBytes) return false;
    this.socket.sendBinary(bytes);
    return true;
  }

  /** Says why and closes. */
  refuse(refusal: { readonly cause: string; readonly reason: string }): void {
    if (!this.open) return;
    this.beforeText();
    const message: Refused & typeof refusal = { type: 'refused', ...refusal };
    this.socket.sendText(JSON.stringify(message));
    this.drop(refusal.cause === 'replaced' ? CloseCode.replaced : CloseCode.refused, refusal.cause);
  }

  /** Bytes that the client has not taken yet. */
  get waitingBytes(): number {
    return this.open ? this.socket.backlogBytes : 0;
  }

  /** Closes the socket because it holds more than its share of all waiting bytes: a goodbye would only wait behind the rest. */
  letGo(): void {
    this.count('waiting-full');
    this.drop(CloseCode.tooSlow, 'too-slow');
    this.socket.terminate();
  }

  count(refusal: ConnectionRefusal): void {
    this.counters.add(refusal);
  }

  /** Once per HEARTBEAT_MS of the relay's uptime. A relay that stood still counts one beat, however long that was. */
  beat(heartbeat: Out): void {
    if (!this.open) return;
    // While the socket is not read, whatever it sends waits there.
    if (this.resuming === null) this.silentBeats += 1;
    if (!this.spoken && this.silentBeats > HELLO_HEARTBEATS) {
      this.count('no-hello');
      // Most likely a frozen tab: worth another try.
      this.refuse({ cause: 'too-slow', reason: `No hello came within ${HELLO_HEARTBEATS} s.` });
    } else if (this.silentBeats > SILENT_HEARTBEATS) {
      this.count('silent');
      this.drop(CloseCode.silent, 'silent');
      this.socket.terminate();
    } else if (this.spoken) {
      this.send(heartbeat);
    }
  }

  /** Closes without saying why, e.g. when the relay shuts down. */
  drop(code: number, reason: string): void {
    if (!this.open) return;
    this.socket.close(code, reason);
    this.end(false);
  }

  private end(orderly: boolean): void {
    this.open = false;
    this.resuming?.dispose();
    this.resuming = null;
    this.onClosed(orderly);
  }

  /** False if the socket is closed, or so far behind that it is closed now. */
  private isReadyForText(): boolean {
    if (!this.open) return false;
    this.beforeText();
    if (this.socket.backlogBytes > MAX_TEXT_BACKLOG_BYTES) {
      this.count('too-slow');
      this.drop(CloseCode.tooSlow, 'too-slow');
      // A goodbye would only wait behind the rest.
      this.socket.terminate();
      return false;
    }
    return true;
  }

  private hearEcho(message: unknown): void {
    const { type, at } = message as { type?: unknown; at?: unknown };
    if (type === 'heartbeat' && typeof at === 'number') this.echo = { at, rttMs: this.clock.now() - at };
  }
}
