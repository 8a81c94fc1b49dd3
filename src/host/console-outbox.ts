/**
 * Console input in transit, as numbered bytes. What a tab types into one VM is a stream. Its outbox keeps every byte
 * until the guest is known to have it, and sends it again until then. The inbox stays with the VM and moves with it
 * (vm-host/console-inbox.ts); it takes each byte once. So messages may be lost, duplicated, late, or sent to any host:
 * only the host that has the VM answers. Outbox and inbox know neither the time nor where the VM is.
 */
import { ByteQueue } from '../emulator-bridge/byte-queue.ts';
import type { InputPiece } from '../vm-host/console-inbox.ts';
import { MAX_CONSOLE_BYTES } from './host-messages.ts';

/** Most bytes in one message. */
export const MAX_PIECE_BYTES = MAX_CONSOLE_BYTES;
/** Most bytes in flight: enough for a round trip, few enough to send all of them again. */
const WINDOW_BYTES = 4 * MAX_PIECE_BYTES;
/** A tab keeps this much unsent input and refuses more. Many pastes of 64 KiB fit. */
export const MAX_WAITING_BYTES = 1024 * 1024;

export class ConsoleOutbox {
  private readonly waiting = new ByteQueue();
  private acknowledged = 0;
  private sent = 0;
  /** The first half of a character that was cut in two; the other comes with the next text. */
  private half = '';

  /** Takes all of `text`; if there is no room for it, takes nothing and returns false. */
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

  /** Sends again everything that was sent and is not acknowledged. */
  again(): void {
    this.sent = this.acknowledged;
  }

  /** The guest has the first `count` bytes of the stream. Ignores a count that is old or impossible, and then returns false. */
  acknowledge(count: number): boolean {
    const news = count - this.acknowledged;
    if (news <= 0 || news > this.waiting.length) return false;
    this.waiting.drop(news);
    this.acknowledged = count;
    this.sent = Math.max(this.sent, count);
    return true;
  }

  /** Characters that were typed and that the guest is not known to have. */
  get waitingCharacters(): number {
    return this.waiting.toBytes().reduce((sum, byte) => sum + ((byte & 0xc0) === 0x80 ? 0 : 1), 0);
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }
}
