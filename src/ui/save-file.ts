import { el } from './dom.ts';

/** The browser's own way to save a file: a link that is pressed. */
export function saveFile(file: Blob, name: string): void {
  const address = URL.createObjectURL(file);
  el('a', { href: address, download: name }).click();
  // The download has its own hold on the file once it has begun.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
