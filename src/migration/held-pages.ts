/**
 * What the target holds of each page, as far as the source remembers it (rule MG12): the base snapshot's page until the
 * page is first sent, then what was sent last. A page that differs little from that is sent as the difference.
 */
import { Bitmap } from '../shared/bitmap.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import type { SourceVm } from './ports.ts';
import { totalPages } from './ports.ts';

/** How many copies of sent pages are kept, 16 MiB. The latest ones stay, because what the guest writes often is sent often. */
const MAX_COPIES = 4096;
const WORDS = PAGE_SIZE / 4;
/** With more words changed, the page itself compresses as well as the difference does. */
const MAX_CHANGED_WORDS = WORDS / 4;

export class HeldPages {
  private readonly vm: Pick<SourceVm, 'basePage'>;
  /** Sent at least once: no longer the base snapshot's page. */
  private readonly sent: Bitmap;
  private readonly copies = new Map<number, Uint32Array>();

  constructor(vm: Pick<SourceVm, 'space' | 'basePage'>) {
    this.vm = vm;
    this.sent = new Bitmap(totalPages(vm.space));
  }

  /** True if the target has this content of the page although the page was never sent. `content` starts on a multiple of 4 in its buffer. */
  isBase(page: number, content: Uint8Array): boolean {
    if (this.sent.has(page)) return false;
    const base = this.vm.basePage(page);
    return base !== null && changedWords(wordsOf(content), wordsOf(base), 0) === 0;
  }

  /**
   * The page is about to be sent with this content, which starts on a multiple of 4 in its buffer: turns it into the
   * difference from what the target holds, if the difference is smaller to send. Returns true if it did.
   */
  send(page: number, content: Uint8Array): boolean {
    const words = wordsOf(content);
    const copy = this.copies.get(page);
    const base = copy === undefined && !this.sent.has(page) ? this.vm.basePage(page) : null;
    const held = copy ?? (base === null ? undefined : wordsOf(base));
    const isDifference = held !== undefined && changedWords(words, held, MAX_CHANGED_WORDS) <= MAX_CHANGED_WORDS;
    this.sent.add(page);
    this.copies.delete(page);
    if (!isDifference) {
      this.keep(page, copy === undefined ? words.slice() : overwritten(copy, words));
      return false;
    }
    const now = copy ?? held.slice();
    for (let at = 0; at < WORDS; at++) {
      const word = words[at] ?? 0;
      words[at] = word ^ (now[at] ?? 0);
      now[at] = word;
    }
    this.keep(page, now);
    return true;
  }

  /** The page is about to be sent as a zero page. */
  sendZeros(page: number): void {
    this.forget(page);
  }

  /** Nobody knows what the target holds (the page was sent over a link that died). */
  forget(page: number): void {
    this.sent.add(page);
    this.copies.delete(page);
  }

  private keep(page: number, copy: Uint32Array): void {
    this.copies.set(page, copy);
    if (this.copies.size <= MAX_COPIES) return;
    for (const oldest of this.copies.keys()) {
      this.copies.delete(oldest);
      break;
    }
  }
}

/** How many words differ; stops counting at one more than `enough`. */
function changedWords(left: Uint32Array, right: Uint32Array, enough: number): number {
  let changed = 0;
  for (let at = 0; at < WORDS && changed <= enough; at++) if (left[at] !== right[at]) changed++;
  return changed;
}

function overwritten(copy: Uint32Array, words: Uint32Array): Uint32Array {
  copy.set(words);
  return copy;
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
}
