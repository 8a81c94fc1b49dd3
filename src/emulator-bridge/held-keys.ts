/** Tracks which keys a stream of scan codes (set 1) leaves pressed, and gives the codes that release them. */

const PREFIX = 0xe0;
/** Begins the sequence of Pause, the only one without a break code: it means "down" and "up" at once. */
const PAUSE_PREFIX = 0xe1;
const PAUSE_BYTES = 3;
const BREAK = 0x80;

/** One key that goes down or up. */
interface Stroke {
  readonly bytes: readonly number[];
  /** The make code's bytes as one number; null for Pause, which is never down. */
  readonly key: number | null;
  readonly down: boolean;
}

export class HeldKeys {
  /** Break codes of the keys that are down, by key, in the order the keys went down. */
  private readonly breaks = new Map<number, readonly number[]>();

  /** `codes` (whole sequences) are on their way to the guest. */
  sent(codes: readonly number[]): void {
    for (const { bytes, key, down } of strokes(codes)) {
      if (key === null) continue;
      if (down)
        this.breaks.set(
          key,
          bytes.map((byte, index) => (index === bytes.length - 1 ? byte | BREAK : byte)),
        );
      else this.breaks.delete(key);
    }
  }

  /** The part of `codes` that lets go of keys that are down. */
  releasesIn(codes: readonly number[]): number[] {
    return strokes(codes)
      .filter(({ key, down }) => key !== null && !down && this.breaks.has(key))
      .flatMap(({ bytes }) => bytes);
  }

  /** The codes that release all keys that are down, the last one pressed first. */
  releases(): number[] {
    return [...this.breaks.values()].reverse().flat();
  }

  clear(): void {
    this.breaks.clear();
  }
}

function strokes(codes: readonly number[]): Stroke[] {
  const found: Stroke[] = [];
  for (let at = 0; at < codes.length;) {
    const first = codes[at] ?? 0;
    const length = first === PAUSE_PREFIX ? PAUSE_BYTES : first === PREFIX ? 2 : 1;
    const bytes = codes.slice(at, at + length);
    const last = bytes.at(-1) ?? 0;
    const key = first === PAUSE_PREFIX ? null : (length === 2 ? PREFIX << 8 : 0) | (last & ~BREAK);
    found.push({ bytes, key, down: (last & BREAK) === 0 });
    at += length;
  }
  return found;
}
