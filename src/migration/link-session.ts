/**
 * One link as the engine sees it: checks envelopes, counts sequence numbers, watches heartbeats. Only this file turns
 * bytes from the other host into values (rules MG1-MG6). It does not know the state of the migration.
 */
import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import type { MigrationId } from '../shared/ids.ts';
import { HEARTBEAT_MS, LAST_WORD_MS, SILENT_HEARTBEATS } from './limits.ts';
import { serializeControl, type ToSource, type ToTarget } from './messages.ts';
import { asMigrationError, MigrationError } from './migration-error.ts';
import type { Link } from './ports.ts';
import type { Clock } from '../shared/clock.ts';
import { HANDSHAKE_VERSION, hashMigrationId, MessageType, nextSequence, parseMessage, serializeMessage, type Envelope } from './wire.ts';

/** Handshake messages may carry the handshake's version at any time; all other messages carry the agreed one. */
const HANDSHAKE = new Set(['offer', 'accepted', 'refused', 'end']);

export interface SessionEvents<In> {
  /** A checked control message. If this throws, the link ends as after a bad message. */
  onControl(message: In): void;
  /** A bulk message; `sequence` counts from 0. */
  onBulk(type: 'pages' | 'devices', payload: Uint8Array, acknowledge: boolean, sequence: number): void;
  /** The link ended or fell silent. Nothing comes after it. */
  onLost(error: MigrationError): void;
  /** The other side sent something invalid. Nothing comes after it. */
  onBad(error: MigrationError): void;
  /** Once a heartbeat, while the session is open and `agree` was called. */
  onBeat?(): void;
}

export interface SessionOptions<In> {
  readonly link: Link;
  readonly clock: Clock;
  /** null: taken from the first message. */
  readonly migrationId: MigrationId | null;
  readonly parse: (payload: Uint8Array) => In;
  readonly events: SessionEvents<In>;
}

export class LinkSession<In extends { readonly type: string }, Out extends ToSource | ToTarget> {
  readonly link: Link;
  private readonly options: SessionOptions<In>;
  private readonly bag = new DisposableBag();
  private migration: string | null;
  private version = HANDSHAKE_VERSION;
  private sentBytes = 0;
  private readonly next = { controlIn: 0, bulkIn: 0, controlOut: 0, bulkOut: 0 };
  private quietBeats = 0;
  private patience = SILENT_HEARTBEATS;
  private heartbeat: Disposable | null = null;
  private lastWord: Disposable | null = null;
  private open = true;

  constructor(options: SessionOptions<In>) {
    this.options = options;
    this.link = options.link;
    this.migration = options.migrationId === null ? null : hashMigrationId(options.migrationId);
  }

  /** True if `id` is the migration that the messages so far named. */
  isFor(id: MigrationId): boolean {
    return this.migration === hashMigrationId(id);
  }

  /** Begins to listen. Separate from the constructor, so that the owner can store the session before the first event arrives. */
  start(): void {
    const { control, bulk } = this.link;
    this.bag.add(control.onClose((reason) => this.lost(new MigrationError('link-failed', reason))));
    this.bag.add(bulk.onClose((reason) => this.bulkLost(new MigrationError('link-failed', reason))));
    this.bag.add(control.onMessage((message) => this.guard(() => this.controlMessage(message))));
    this.bag.add(bulk.onMessage((message) => this.guard(() => this.bulkMessage(message))));
  }

  /** From now on both sides speak `version`, and each expects to hear from the other: see expectWordWithin(). */
  agree(version: number): void {
    this.version = version;
    this.beat();
  }

  /** This many heartbeats may pass without a message from the other side; SILENT_HEARTBEATS unless set. */
  expectWordWithin(beats: number): void {
    this.patience = beats;
  }

  /** Sends a control message; a link that broke meanwhile reports itself as lost. */
  sendControl(message: Out): void {
    if (!this.open) return;
    const version = HANDSHAKE.has(message.type) ? HANDSHAKE_VERSION : this.version;
    const bytes = this.envelope(MessageType.control, version, false, this.next.controlOut, serializeControl(message));
    this.next.controlOut = nextSequence(this.next.controlOut);
    this.sentBytes += bytes.length;
    try {
      this.link.control.send(bytes);
    } catch (error) {
      this.lost(asMigrationError(error, 'link-failed'));
    }
  }

  /** Sends a bulk message; returns its size on the wire. Throws MigrationError('link-failed'). */
  sendBulk(type: 'pages' | 'devices', payload: Uint8Array, acknowledge: boolean): number {
    const bytes = this.envelope(MessageType[type], this.version, acknowledge, this.next.bulkOut, payload);
    this.next.bulkOut = nextSequence(this.next.bulkOut);
    this.sentBytes += bytes.length;
    this.link.bulk.send(bytes);
    return bytes.length;
  }

  /** Bulk messages sent over this link. */
  get bulkSent(): number {
    return this.next.bulkOut;
  }

  /** Bytes sent over both lanes, envelopes included. */
  get bytesSent(): number {
    return this.sentBytes;
  }

  /** Gives up the link: closes it and reports it as lost, unless that has already happened. */
  lost(error: MigrationError): void {
    if (!this.open) return;
    this.close();
    this.options.events.onLost(error);
  }

  /** The bulk lane ended: the link is lost, unless the control lane says why or ends as well within a moment. */
  bulkLost(error: MigrationError): void {
    if (!this.open) return;
    this.lastWord ??= this.options.clock.setTimeout(() => this.lost(error), LAST_WORD_MS);
  }

  /** Stops listening and closes the link. Nothing is reported any more. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    this.stopListening();
    this.link.close();
  }

  private envelope(type: Envelope['type'], version: number, acknowledge: boolean, sequence: number, payload: Uint8Array): Uint8Array {
    return serializeMessage({ version, type, acknowledge, migration: this.migration ?? '', sequence, payload });
  }

  private controlMessage(bytes: Uint8Array): void {
    const envelope = this.accept(bytes, this.next.controlIn);
    if (envelope.type !== MessageType.control) throw new MigrationError('bad-message', 'Pages arrived on the control lane.');
    this.next.controlIn = nextSequence(this.next.controlIn);
    const message = this.options.parse(envelope.payload);
    if (envelope.version !== this.version && !(HANDSHAKE.has(message.type) && envelope.version === HANDSHAKE_VERSION)) {
      throw this.wrongVersion(envelope.version);
    }
    this.options.events.onControl(message);
  }

  private bulkMessage(bytes: Uint8Array): void {
    const sequence = this.next.bulkIn;
    const envelope = this.accept(bytes, sequence);
    if (envelope.type === MessageType.control) throw new MigrationError('bad-message', 'A control message arrived on the bulk lane.');
    if (envelope.version !== this.version) throw this.wrongVersion(envelope.version);
    this.next.bulkIn = nextSequence(sequence);
    this.options.events.onBulk(envelope.type === MessageType.pages ? 'pages' : 'devices', envelope.payload, envelope.acknowledge, sequence);
  }

  private accept(bytes: Uint8Array, expected: number): Envelope {
    const envelope = parseMessage(bytes);
    this.quietBeats = 0;
    this.migration ??= envelope.migration;
    if (envelope.migration !== this.migration) throw new MigrationError('bad-message', 'A message belongs to another migration.');
    if (envelope.sequence !== expected) {
      const what = envelope.sequence < expected ? 'repeated' : 'lost';
      throw new MigrationError('bad-message', `Message ${envelope.sequence} came where ${expected} was next: one was ${what}.`);
    }
    return envelope;
  }

  private wrongVersion(version: number): MigrationError {
    return new MigrationError('bad-message', `A message has version ${version} of the protocol where ${this.version} was agreed on.`);
  }

  /** Counted in beats, not in time: a tab that was frozen for a minute has missed one beat. */
  private beat(): void {
    this.heartbeat = this.options.clock.setTimeout(() => {
      this.quietBeats++;
      if (this.quietBeats >= this.patience) {
        this.lost(new MigrationError('link-silent', `Nothing was heard from the other host for ${(this.patience * HEARTBEAT_MS) / 1000} s.`));
        return;
      }
      this.beat();
      this.options.events.onBeat?.();
    }, HEARTBEAT_MS);
  }

  private guard(handle: () => void): void {
    if (!this.open) return;
    try {
      handle();
    } catch (error) {
      this.stopListening();
      this.options.events.onBad(asMigrationError(error, 'internal'));
    }
  }

  /** After a bad message nothing more is read, but the other side may still be told why. */
  private stopListening(): void {
    this.heartbeat?.dispose();
    this.lastWord?.dispose();
    this.bag.dispose();
  }
}
