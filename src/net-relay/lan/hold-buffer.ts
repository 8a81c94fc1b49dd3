/**
 * Frames that wait for a VM during its switchover, in order. Bounded by count, bytes and age; frames dropped by a bound
 * are counted by name. After the move the buffer keeps the frames it handed out until the target is confirmed, so that a
 * VM given back to its source misses nothing.
 *
 *   kept: [ given back by the source | arrived during the hold ]      handed: how many the new owner already got
 */
import { MAX_HELD_AGE_MS, MAX_HELD_BYTES, MAX_HELD_FRAMES } from '../limits/server-limits.ts';

/** How many frames are dropped at once when the buffer is full and the new owner already has its oldest frames. */
const FORGET_AT_ONCE = 256;

export type HoldDrop = 'held-too-many' | 'held-too-large' | 'held-too-old';

interface HeldFrame {
  readonly frame: Uint8Array;
  readonly at: number;
}

export class HoldBuffer {
  private readonly counters: { add(name: HoldDrop): void };
  private returned: HeldFrame[] = [];
  private frames: HeldFrame[] = [];
  private handed = 0;
  private bytes = 0;

  constructor(counters: { add(name: HoldDrop): void }) {
    this.counters = counters;
  }

  /** Frames that wait and were not handed out. */
  get waiting(): number {
    return this.returned.length + this.frames.length - this.handed;
  }

  get heldBytes(): number {
    return this.bytes;
  }

  /** Appends a frame (copied: the message it came in may be much larger). */
  push(frame: Uint8Array, now: number): void {
    if (this.isFull(frame)) this.forgetHanded(FORGET_AT_ONCE);
    if (this.admits(frame)) this.frames.push(this.keep(frame, now));
  }

  /** A hold begins. Frames that still wait from an earlier hold go before new ones, but after those that the source gives back. */
  begin(): void {
    this.confirm();
    this.frames = [...this.returned, ...this.frames];
    this.returned = [];
  }

  /** Puts frames that the source could not deliver ahead of those that arrived since. Only before anything is handed out. */
  giveBack(frames: readonly Uint8Array[], now: number): void {
    for (const frame of frames) {
      if (this.admits(frame)) this.returned.push(this.keep(frame, now));
    }
  }

  /** The source starts to give its frames back all over again (its connection broke in between). */
  forgetReturned(): void {
    for (const { frame } of this.returned) this.bytes -= frame.length;
    this.returned = [];
  }

  /** Hands out up to `limit` frames, oldest first; they stay kept until confirm(). */
  next(limit: number, now: number): Uint8Array[] {
    const batch: Uint8Array[] = [];
    const total = this.returned.length + this.frames.length;
    while (batch.length < limit && this.handed < total) {
      const held = this.handed < this.returned.length ? this.returned[this.handed] : this.frames[this.handed - this.returned.length];
      this.handed += 1;
      if (held === undefined) continue;
      if (now - held.at > MAX_HELD_AGE_MS) this.counters.add('held-too-old');
      else batch.push(held.frame);
    }
    return batch;
  }

  /** The frames that were handed out have reached their owner for good. */
  confirm(): void {
    this.forgetHanded(this.handed);
  }

  /** The owner that got the frames has lost the VM: hand everything out again. */
  rewind(): void {
    this.handed = 0;
  }

  /** Drops what is too old to be handed out. */
  forgetOld(now: number): void {
    let index = 0;
    let handed = 0;
    const isFresh = (held: HeldFrame): boolean => {
      const wasHanded = index++ < this.handed;
      const fresh = now - held.at <= MAX_HELD_AGE_MS;
      if (!fresh) this.bytes -= held.frame.length;
      if (!fresh && !wasHanded) this.counters.add('held-too-old');
      if (fresh && wasHanded) handed += 1;
      return fresh;
    };
    this.returned = this.returned.filter(isFresh);
    this.frames = this.frames.filter(isFresh);
    this.handed = handed;
  }

  clear(): void {
    this.returned = [];
    this.frames = [];
    this.handed = 0;
    this.bytes = 0;
  }

  private forgetHanded(limit: number): void {
    const count = Math.min(limit, this.handed);
    const returned = Math.min(count, this.returned.length);
    for (const { frame } of this.returned.splice(0, returned)) this.bytes -= frame.length;
    for (const { frame } of this.frames.splice(0, count - returned)) this.bytes -= frame.length;
    this.handed -= count;
  }

  private isFull(frame: Uint8Array): boolean {
    return this.returned.length + this.frames.length >= MAX_HELD_FRAMES || this.bytes + frame.length > MAX_HELD_BYTES;
  }

  private admits(frame: Uint8Array): boolean {
    if (this.returned.length + this.frames.length >= MAX_HELD_FRAMES) {
      this.counters.add('held-too-many');
      return false;
    }
    if (this.bytes + frame.length > MAX_HELD_BYTES) {
      this.counters.add('held-too-large');
      return false;
    }
    return true;
  }

  private keep(frame: Uint8Array, now: number): HeldFrame {
    this.bytes += frame.length;
    return { frame: frame.slice(), at: now };
  }
}
