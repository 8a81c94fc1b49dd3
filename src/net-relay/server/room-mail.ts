/**
 * Text messages to the hosts of a room, in the order in which they were given. A long message to many hosts takes the
 * kernel milliseconds; it is sent in pieces, and every other room has its turn in between.
 */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';

/** Bytes sent in one go: some milliseconds where nobody reads and the kernel takes all of it. */
export const MAIL_BYTES_AT_ONCE = 1024 * 1024;

interface Letter {
  readonly bytes: number;
  readonly send: () => void;
}

export class RoomMail implements Disposable {
  private readonly clock: Clock;
  /** Messages that were given but not sent yet. */
  private waiting: Letter[] = [];
  /** Bytes sent since everything else had its turn. */
  private sent = 0;
  private next: Disposable | null = null;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** `send` gives a message of so many bytes to a socket. It runs now, unless others wait before it or too many bytes were sent at once. */
  post(bytes: number, send: () => void): void {
    this.waiting.push({ bytes, send });
    if (this.next === null) this.go();
  }

  dispose(): void {
    this.next?.dispose();
    this.next = null;
    this.waiting = [];
  }

  private go(): void {
    let count = 0;
    while (count < this.waiting.length && this.sent < MAIL_BYTES_AT_ONCE) {
      const letter = this.waiting[count++];
      this.sent += letter?.bytes ?? 0;
      letter?.send();
    }
    this.waiting.splice(0, count);
    if (this.sent < MAIL_BYTES_AT_ONCE) return;
    this.next = this.clock.setTimeout(() => {
      this.sent = 0;
      this.next = null;
      this.go();
    }, 0);
  }
}
