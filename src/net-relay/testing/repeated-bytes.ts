/** Bytes that look random and are the same in every run, for a relay under test; two sources give the same ones. */
export function repeatedBytes(): (count: number) => Uint8Array {
  let state = 1;
  return (count) => Uint8Array.from({ length: count }, () => (state = (state * 48271) % 2147483647) & 0xff);
}
