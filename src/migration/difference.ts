/** The difference of two contents is their exclusive or, so the same step computes and undoes it. */

/** Turns `content` into its difference from `other`, or back; a shorter `other` counts as padded with zeros. */
export function applyDifference(content: Uint8Array, other: Uint8Array): void {
  const length = Math.min(content.length, other.length);
  let at = 0;
  if ((content.byteOffset & 3) === 0 && (other.byteOffset & 3) === 0) {
    const words = new Uint32Array(content.buffer, content.byteOffset, length >> 2);
    const others = new Uint32Array(other.buffer, other.byteOffset, length >> 2);
    for (let word = 0; word < words.length; word++) words[word] = (words[word] ?? 0) ^ (others[word] ?? 0);
    at = words.length * 4;
  }
  for (; at < length; at++) content[at] = (content[at] ?? 0) ^ (other[at] ?? 0);
}
