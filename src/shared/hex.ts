/** Two lower-case digits a byte, such as `02:5a` with a colon as separator. */
export function hex(bytes: Uint8Array, separator = ''): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(separator);
}
