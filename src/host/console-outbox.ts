/**
 * Console input on its way, as numbered bytes. What a tab types into one VM is a stream: its outbox keeps every byte
 * until it is known to be with the guest, and sends it again and again. The inbox, which is with the VM and moves with
 * it (vm-host/console-inbox.ts), takes each byte once, so messages may be lost, doubled or late, and sent to any host:
 * only the one that has the VM answers. Neither knows time or where the VM is.
 */
import { ByteQueue } from '../emulator-bridge/byte-queue.ts';
import type { InputPiece } from '../vm-host/console-inbox.ts';
import { MAX_CONSOLE_BYTES } from './host-messages.ts';

/** One message holds this much. */
export const MAX_PIECE_BYTES = MAX_CONSOLE_BYTES;
/** In flight at a time: enough for a round trip, little enough to be sent again as a whole. */
const WINDOW_BYTES = 4 * MAX_PIECE_BYTES;
/** A tab keeps this much unsent input and refuses more. Many pastes of 64 KiB fit. */
export const MAX_WAITING_BYTES = 1024 * 1024;

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
