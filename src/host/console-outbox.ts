/**
 * Console input on its way, as numbered bytes. What a tab types into one VM is a stream: its outbox keeps every byte
 * until it is known to be with the guest, and sends it again and again; the inbox, which is with the VM and moves with
 * it, gives each byte to the guest once and in order, and says how far it is. So messages may be lost, doubled or late,
 * and sent to any host: only the one that has the VM answers. Neither knows time or where the VM is.
 */
import { ByteQueue } from '../emulator-bridge/byte-queue.ts';
import { MAX_CONSOLE_BYTES } from './host-messages.ts';

/** One message holds this much. */
export const MAX_PIECE_BYTES = MAX_CONSOLE_BYTES;
/** On its way at once: enough for a round trip, little enough to be sent again whole. */
const WINDOW_BYTES = 4 * MAX_PIECE_BYTES;
/** A tab keeps so much; what is typed beyond is refused. Pastes of 64 KiB fit many times. */
export const MAX_WAITING_BYTES = 1024 * 1024;
/** Tabs of which an inbox remembers how far it is, those that typed last. */
export const MAX_WRITERS = 64;

export interface InputPiece {
  /** So many bytes of the tab's stream are known to be with the guest: what is before is never sent again. */
  readonly acknowledged: number;
  /** The place of the first byte of `data` in the stream. */
  readonly from: number;
  readonly data: Uint8Array;
}

export class ConsoleOutbox {
  private readonly waiting = new ByteQueue();
  private acknowledged = 0;
  private sent = 0;
  /** The first half of a character that was cut in two; the other comes with the next text. */
  private half = '';

  /** False if there is no room: then nothing of it is taken. */
  write(text: string): boolean {
    const whole = this.half + text;
    const cut = /[\ud800-\udbff]$/.test(whole) ? whole.length - 1 : whole.length;
    if (!this.writeBytes(new TextEncoder().encode(whole.slice(0, cut)))) return false;
    this.half = whole.slice(cut);
    return true;
  }

  writeBytes(bytes: Uint8Array): boolean {
    if (this.waiting.length + bytes.length > MAX_WAITING_BYTES) return false;
    this.waiting.pushAll(bytes);
    return true;
  }

  /** The next piece to send; null if everything was sent, or enough is on its way. */
  next(): InputPiece | null {
    const at = this.sent - this.acknowledged;
    if (at >= this.waiting.length || at >= WINDOW_BYTES) return null;
    const data = this.waiting.toBytes().subarray(at, at + MAX_PIECE_BYTES);
    const piece = { acknowledged: this.acknowledged, from: this.sent, data };
    this.sent += data.length;
    return piece;
  }

  /** What was sent and is not acknowledged is sent again. */
  again(): void {
    this.sent = this.acknowledged;
  }

  /** The guest has the first `count` bytes of the stream. What is no news, or cannot be, is ignored; false then. */
  acknowledge(count: number): boolean {
    const news = count - this.acknowledged;
    if (news <= 0 || news > this.waiting.length) return false;
    this.waiting.drop(news);
    this.acknowledged = count;
    this.sent = Math.max(this.sent, count);
    return true;
  }

  /** Typed, and not known to be with the guest. */
  get waitingCharacters(): number {
    return this.waiting.toBytes().reduce((sum, byte) => sum + ((byte & 0xc0) === 0x80 ? 0 : 1), 0);
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }
}

export class ConsoleInbox {
  /** By tab, the one that typed last at the end. */
  private readonly applied: Map<string, number>;

  constructor(applied: readonly (readonly [writer: string, count: number])[] = []) {
    this.applied = new Map(applied);
  }

  /** What of a piece is new, at most `room` bytes, and how far the tab's stream is with the guest once it has been given that. */
  take(writer: string, piece: InputPiece, room = Infinity): { readonly fresh: Uint8Array; readonly applied: number } {
    // What was acknowledged and is not known here was given to a copy that is gone: it cannot come again.
    const known = Math.max(this.applied.get(writer) ?? 0, piece.acknowledged);
    // Without a gap: what is missing is sent again.
    const fresh = piece.from > known ? new Uint8Array(0) : piece.data.subarray(known - piece.from).subarray(0, room);
    const applied = known + fresh.length;
    this.applied.delete(writer);
    this.applied.set(writer, applied);
    for (const oldest of this.applied.keys()) {
      if (this.applied.size <= MAX_WRITERS) break;
      this.applied.delete(oldest);
    }
    return { fresh, applied };
  }

  /** What a new inbox at another host is made of. */
  state(): (readonly [writer: string, count: number])[] {
    return [...this.applied];
  }
}
