/** The difference of two contents: exclusive or, so that it is taken and undone by the same step. */

/** Turns `content` into its difference from `other`, or back; behind the end of a shorter `other` zeros are thought of. */
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
