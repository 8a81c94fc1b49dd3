/** The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit words. */

/**
 * Adds `length` bytes at `at` to a running sum. 32-bit words are added as they are: 2^32 is 1 modulo 2^16-1, so the
 * folded result is the same, and the sum of a 64 KiB packet stays far below 2^53. Only the last piece may be odd.
 */
export function addToSum(sum: number, view: DataView, at: number, length: number): number {
  const end = at + length;
  let total = sum;
  let position = at;
  for (; position + 16 <= end; position += 16) {
    total += view.getUint32(position) + view.getUint32(position + 4) + view.getUint32(position + 8) + view.getUint32(position + 12);
  }
  for (; position + 2 <= end; position += 2) total += view.getUint16(position);
  if (position < end) total += view.getUint8(position) * 256;
  return total;
}

/** Folds a running sum to the 16-bit checksum. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return 0xffff - folded;
}

/** Sum of the pseudo header that TCP and UDP cover. `length` is that of header and payload. */
export function pseudoHeaderSum(source: number, destination: number, protocol: number, length: number): number {
  return source + destination + protocol + length;
}
