/**
 * Console input as it reaches the VM, in numbered pieces. The inbox is with the VM and moves with it: it gives each byte of
 * a tab's stream to the guest once and in order, and says how far it is, so pieces may be lost, doubled or late.
 */

/** Tabs of which an inbox remembers how far it is, those that typed last. */
export const MAX_WRITERS = 64;

export interface InputPiece {
  /** This many bytes of the tab's stream have reached the guest; they are never sent again. */
  readonly acknowledged: number;
  /** The place of the first byte of `data` in the stream. */
  readonly from: number;
  readonly data: Uint8Array;
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
