/**
 * A console's output is bytes until a terminal, or `text()`, decodes it: a piece may end anywhere in a character. This
 * file knows where a cut may be made, and how bytes travel in the messages between hosts, which are JSON.
 */

/** A cut looks this far for the beginning of a line; a full-screen program may print none for long. */
const LINE_WITHIN_BYTES = 2048;
const LINE_FEED = 0x0a;
/** A character has at most three bytes after its first. */
const MAX_CONTINUATION_BYTES = 3;

/** The beginning of `bytes` was cut off somewhere. Returns what to show: from the next line on, or at least from the next character on. */
export function fromWholeLine(bytes: Uint8Array): Uint8Array {
  const lineFeed = bytes.subarray(0, LINE_WITHIN_BYTES).indexOf(LINE_FEED);
  if (lineFeed >= 0) return bytes.subarray(lineFeed + 1);
  let start = 0;
  while (start < MAX_CONTINUATION_BYTES && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return bytes.subarray(start);
}

export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(binary);
}

/** Throws if `text` is not base64; the messages between hosts are checked for that at the edge. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

export function concatenated(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
