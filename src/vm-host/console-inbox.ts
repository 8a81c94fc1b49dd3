/**
 * Console input as it reaches the VM, in numbered pieces. The inbox stays with the VM and moves with it. It gives each
 * byte of a tab's stream to the guest once and in order, and reports its position, so pieces may be lost, doubled or
 * late.
 */

/** Number of tabs whose position an inbox remembers: those that typed last. */
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

  /** `fresh`: the new bytes of a piece, at most `room`. `applied`: how many bytes of the tab's stream the guest has once it gets them. */
  take(writer: string, piece: InputPiece, room = Infinity): { readonly fresh: Uint8Array; readonly applied: number } {
    // Bytes that were acknowledged but are not known here went to a copy that is gone: they are never sent again.
    const known = Math.max(this.applied.get(writer) ?? 0, piece.acknowledged);
    // A piece behind a gap is not used: the missing bytes are sent again.
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

  /** The state from which another host makes its inbox. */
  state(): (readonly [writer: string, count: number])[] {
    return [...this.applied];
  }
}
