import { el } from './dom.ts';

/** The browser's own way to save a file: a link that is pressed. */
export function saveFile(file: Blob, name: string): void {
  const address = URL.createObjectURL(file);
  el('a', { href: address, download: name }).click();
  // Once the download has begun, it keeps its own reference to the file.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
