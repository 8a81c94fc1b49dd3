/** Frames for a guest that has no room for them yet, in order, bounded. */
import type { Disposable } from '../../shared/disposable.ts';
import type { Counters } from '../../shared/counters.ts';

/** The guest's network card, as far as a port needs it. */
export interface PortNic {
  /** False while the guest's driver has no room, or the machine is stopped: the frame is kept and offered again. */
  deliver(frame: Uint8Array): boolean;
  /** Called when deliver() may succeed again. */
  onReady(listener: () => void): Disposable;
  /** Frames the guest sends. */
  onFrame(listener: (frame: Uint8Array) => void): Disposable;
}

/** Twice what the relay holds during a switchover, so that nothing it releases is lost here. */
const MAX_QUEUED_FRAMES = 8192;
const MAX_QUEUED_BYTES = 12 * 1024 * 1024;

export type PortClientDrop = 'queue-too-many' | 'queue-too-large' | 'not-connected' | 'not-owner' | 'too-slow' | 'oversized' | 'bad-frames';

export class InboundQueue implements Disposable {
  private readonly nic: PortNic;
  private readonly drops: Counters<PortClientDrop>;
  private readonly ready: Disposable;
  private frames: Uint8Array[] = [];
  private head = 0;
  private bytes = 0;
  private pumping = false;

  constructor(nic: PortNic, drops: Counters<PortClientDrop>) {
    this.nic = nic;
    this.drops = drops;
    this.ready = nic.onReady(() => this.pump());
  }

  get length(): number {
    return this.frames.length - this.head;
  }

  push(frame: Uint8Array): void {
    if (this.length >= MAX_QUEUED_FRAMES) this.drops.add('queue-too-many');
    else if (this.bytes + frame.length > MAX_QUEUED_BYTES) this.drops.add('queue-too-large');
    else {
      this.frames.push(frame);
      this.bytes += frame.length;
    }
  }

  /** Gives the guest as many frames as it takes. */
  pump(): void {
    // deliver() may make room and say so at once.
    if (this.pumping) return;
    this.pumping = true;
    try {
      for (;;) {
        const frame = this.frames[this.head];
        if (frame === undefined || !this.nic.deliver(frame)) break;
        this.head += 1;
        this.bytes -= frame.length;
      }
    } finally {
      this.pumping = false;
      if (this.head === this.frames.length || this.head > 1024) {
        this.frames = this.frames.slice(this.head);
        this.head = 0;
      }
    }
  }

  /** Empties the queue and returns the frames that the guest has not been given, oldest first. */
  take(): Uint8Array[] {
    const left = this.frames.slice(this.head);
    this.frames = [];
    this.head = 0;
    this.bytes = 0;
    return left;
  }

  dispose(): void {
    this.ready.dispose();
    this.take();
  }
}
