/**
 * The source's pump: reads pending pages in small steps, leaves out what the target has, and sends the rest as blocks
 * over the bulk lane as fast as the lane, the target and the bandwidth limit allow (rules MG12-MG14). The guest runs on
 * the same thread and gets its turn between steps.
 */
import type { Disposable } from '../shared/disposable.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import type { Bitmap } from '../shared/bitmap.ts';
import { serializeDevices } from './device-codec.ts';
import { ACKNOWLEDGE_EVERY_BYTES, MAX_BLOCK_DATA_BYTES, MAX_DATA_PAGES_PER_BLOCK, MAX_PAGES_PER_STEP, MAX_UNACKNOWLEDGED_BYTES } from './limits.ts';
import { MigrationError } from './migration-error.ts';
import { HeldPages } from './held-pages.ts';
import { isZeroPage, serializeBlock, type PageBlock } from './page-codec.ts';
import { PageDigest } from './page-digest.ts';
import { PendingPages } from './pending-pages.ts';
import type { Compressor, PageHash, SourceVm } from './ports.ts';
import type { Clock } from '../shared/clock.ts';
import { totalPages } from './ports.ts';
import { RateMeter } from './rate-meter.ts';
import { MAX_PAYLOAD_BYTES } from './wire.ts';

/** How many pages to try for the first block; later blocks take as many as recently filled a message. */
const FIRST_PAGES_PER_BLOCK = 32;
/** With fewer pages the message overhead shows; this many fit even if their data cannot be compressed. */
const LEAST_PAGES_PER_BLOCK = 12;
/** The share of a message that a block should fill; the rest is spare, for data that compresses worse than before. */
const ROOM_SHARE = 0.9;
/** Differences are small, so one turn makes several blocks of them, as long as they are no more to compress than one full block. */
const BYTES_PER_TURN = MAX_PAYLOAD_BYTES / 2;
/** Wire bytes that a dirty page costs, assumed until something was sent: the measured zstd output for guest memory. */
const ASSUMED_BYTES_PER_PAGE = 0.35 * PAGE_SIZE;
/** About how many pages the running average of bytes per page covers. */
const COST_MEMORY_PAGES = 512;

/** The current link as the pump sees it. */
export interface BulkSender {
  sendBulk(type: 'pages' | 'devices', payload: Uint8Array, acknowledge: boolean): number;
  writable(): Promise<void>;
}

export interface PageStreamOptions {
  readonly vm: Pick<SourceVm, 'space' | 'readPages' | 'basePage' | 'baseDevices'>;
  readonly clock: Clock;
  readonly compressor: Compressor;
  readonly pageHash: PageHash;
  /** Resolves in a later task: the guest and the lanes get their turn. */
  readonly nextTask: () => Promise<void>;
  readonly bandwidthBytesPerSecond: number;
  /** Shortest round trip of the link in milliseconds; null before it was measured. */
  readonly roundTripMs: () => number | null;
  /** Something was sent. */
  readonly onSent: () => void;
}

interface Unacknowledged {
  readonly pages: readonly Uint32Array[];
  readonly bytes: number;
  readonly sentAt: number;
}

export class PageStream {
  readonly digest: PageDigest;
  private readonly options: PageStreamOptions;
  private readonly pending: PendingPages;
  private readonly held: HeldPages;
  private readonly buffer = new Uint8Array(MAX_BLOCK_DATA_BYTES);
  private rate = new RateMeter();
  private link: BulkSender;
  /** Messages of this link not yet applied at the target, oldest first. */
  private unacknowledged: Unacknowledged[] = [];
  private unacknowledgedBytes = 0;
  private messagesApplied = 0;
  /**
   * Blocks not yet sent, oldest first. The newest waits until the pump knows whether another follows, because the last
   * one of a round asks for an acknowledgement.
   */
  private built: { readonly payload: Uint8Array; readonly pages: readonly Uint32Array[] }[] = [];
  private sinceAcknowledge = 0;
  private pagesPerBlock = FIRST_PAGES_PER_BLOCK;
  private cost = { pages: 64, bytes: 64 * ASSUMED_BYTES_PER_PAGE };
  private nextSlot = 0;
  private guestRuns = true;
  private generation = 0;
  private waiters: (() => void)[] = [];
  private pagesOnWire = 0;
  private bytesOnWire = 0;
  private flushing: { readonly generation: number; readonly done: Promise<void> } | null = null;
  private bytesBuilt = 0;

  constructor(options: PageStreamOptions, link: BulkSender) {
    this.options = options;
    this.link = link;
    const pages = totalPages(options.vm.space);
    this.digest = new PageDigest(pages);
    this.pending = new PendingPages(pages);
    this.held = new HeldPages(options.vm);
  }

  /** Pages and bytes that went over the wire, over all links. */
  get totals(): { readonly pages: number; readonly bytes: number } {
    return { pages: this.pagesOnWire, bytes: this.bytesOnWire };
  }

  get pagesLeft(): number {
    return this.pending.count;
  }

  /** Bytes that still have to cross the wire: those queued for it, plus the pending pages at their recent compression. */
  get bytesLeft(): number {
    return Math.max(0, this.unacknowledgedBytes - this.bytesOnTheWay) + (this.pending.count * this.cost.bytes) / this.cost.pages;
  }

  /** Bytes in flight when the link is full (bandwidth-delay product): rate times round trip. 0 before both were measured. */
  get bytesOnTheWay(): number {
    return ((this.bytesPerSecond ?? 0) * (this.options.roundTripMs() ?? 0)) / 1000;
  }

  get bytesPerSecond(): number | null {
    const measured = this.rate.bytesPerSecond();
    return measured === null ? null : Math.min(measured, this.options.bandwidthBytesPerSecond);
  }

  get unappliedBytes(): number {
    return this.unacknowledgedBytes;
  }

  add(pages: Bitmap): void {
    this.pending.addAll(pages);
  }

  /** The guest is stopped from now on, so nobody needs a turn between steps. */
  guestStopped(): void {
    this.guestRuns = false;
  }

  /** The guest runs again (the switchover was taken back). */
  guestRunsAgain(): void {
    this.guestRuns = true;
  }

  /**
   * Sends until nothing is pending, including pages that are added while it sends. Rejects with
   * MigrationError('link-failed') if the link ends or is replaced.
   */
  async flush(): Promise<void> {
    const { generation } = this;
    do {
      if (this.flushing?.generation !== generation) {
        const done = this.pump(generation).finally(() => {
          if (this.flushing?.generation === generation) this.flushing = null;
        });
        this.flushing = { generation, done };
      }
      await this.flushing.done;
    } while (this.pending.count > 0);
  }

  /** Sends the device state behind all pages. Call after flush(). */
  async sendDevices(state: Uint8Array): Promise<void> {
    const generation = this.generation;
    for (const payload of serializeDevices(state, this.options.vm.baseDevices(), this.options.compressor)) {
      await this.room(generation);
      this.sendNow('devices', payload, [], false);
    }
  }

  /** The target has applied `messages` messages of this link in total. Throws MigrationError('bad-message') if that is impossible. */
  acknowledge(messages: number): void {
    const fresh = messages - this.messagesApplied;
    if (fresh < 0 || fresh > this.unacknowledged.length) {
      throw new MigrationError(
        'bad-message',
        `The target acknowledged ${messages} messages; ${this.messagesApplied + this.unacknowledged.length} were sent and ${this.messagesApplied} acknowledged before.`,
      );
    }
    const applied = this.unacknowledged.splice(0, fresh);
    const bytes = applied.reduce((sum, message) => sum + message.bytes, 0);
    this.messagesApplied = messages;
    this.unacknowledgedBytes -= bytes;
    const [first] = applied;
    const last = applied.at(-1);
    if (first !== undefined && last !== undefined) {
      const { clock, roundTripMs } = this.options;
      this.rate.applied({ bytes, firstSentAt: first.sentAt, lastSentAt: last.sentAt, at: clock.now(), roundTripMs: roundTripMs() });
    }
    this.wake();
  }

  /** Resolves once at most `bytes` of pages are sent and not applied. Rejects like flush(). */
  async applied(bytes: number): Promise<void> {
    const { generation } = this;
    while (this.unacknowledgedBytes > bytes) await this.woken(generation);
  }

  /** The link is gone: wakes everything that waits. What the link carried stays recorded until attach(). */
  detach(): void {
    this.generation++;
    this.wake();
  }

  /**
   * Continues over another link. The target applied the first `messagesApplied` messages of the dead one; the pages of
   * the others are pending again. Throws MigrationError('bad-message') if it cannot have applied that many.
   */
  attach(link: BulkSender, messagesApplied: number): void {
    this.acknowledge(Math.max(messagesApplied, this.messagesApplied));
    for (const pages of [...this.unacknowledged, ...this.built].flatMap((message) => message.pages)) {
      for (const page of pages) {
        this.digest.forget(page);
        this.held.forget(page);
        this.pending.add(page);
      }
    }
    this.link = link;
    this.unacknowledged = [];
    this.unacknowledgedBytes = 0;
    this.messagesApplied = 0;
    this.built = [];
    this.sinceAcknowledge = 0;
    this.rate = new RateMeter();
  }

  private async pump(generation: number): Promise<void> {
    while (this.pending.count > 0) {
      await this.room(generation);
      this.turn();
      this.sendBuilt(1);
      if (!this.guestRuns) continue;
      await this.options.nextTask();
      this.check(generation);
    }
    this.sendBuilt(0);
  }

  /** Reads and encodes pages until the waiting guest should get its turn or there is a message's worth of them. */
  private turn(): void {
    const before = this.bytesBuilt;
    let read = 0;
    do {
      read += this.step(MAX_PAGES_PER_STEP - read);
    } while (read < MAX_PAGES_PER_STEP && this.bytesBuilt - before < BYTES_PER_TURN && this.pending.count > 0);
  }

  /** Reads at most `most` pages for one block, until the block is full or the pages begin again; returns how many pages it read. */
  private step(most: number): number {
    const { vm, pageHash } = this.options;
    const zeros: number[] = [];
    const full: number[] = [];
    const differences: number[] = [];
    let read = 0;
    do {
      const pages = this.pending.take(Math.min(this.pagesPerBlock - full.length, most - read));
      read += pages.length;
      const start = full.length;
      vm.readPages(pages, this.pages(start, pages.length));
      for (let index = 0; index < pages.length; index++) {
        const number = pages[index] ?? 0;
        const page = this.pages(start + index, 1);
        if (this.held.isBase(number, page) || !this.digest.set(number, pageHash(page))) continue;
        if (isZeroPage(page)) {
          this.held.sendZeros(number);
          zeros.push(number);
          continue;
        }
        differences.push(this.held.send(number, page) ? 1 : 0);
        if (full.length < start + index) this.pages(full.length, 1).set(page);
        full.push(number);
      }
    } while (full.length < this.pagesPerBlock && read < most && this.pending.count > 0 && !this.pending.beginsAgain);
    const before = this.bytesBuilt;
    if (zeros.length + full.length > 0) {
      this.build({ zeros: Uint32Array.from(zeros), full: Uint32Array.from(full), differences: Uint8Array.from(differences), data: this.pages(0, full.length) });
    }
    this.noteCost(read, this.bytesBuilt - before);
    return read;
  }

  private pages(first: number, count: number): Uint8Array {
    return this.buffer.subarray(first * PAGE_SIZE, (first + count) * PAGE_SIZE);
  }

  /** Encodes a block, in halves if it does not fit into one message. */
  private build(block: PageBlock): void {
    const payload = serializeBlock(block, this.options.compressor);
    if (payload === null) {
      const half = Math.ceil(block.full.length / 2);
      this.pagesPerBlock = Math.max(LEAST_PAGES_PER_BLOCK, half);
      this.build({
        zeros: block.zeros,
        full: block.full.subarray(0, half),
        differences: block.differences.subarray(0, half),
        data: block.data.subarray(0, half * PAGE_SIZE),
      });
      this.build({
        zeros: new Uint32Array(0),
        full: block.full.subarray(half),
        differences: block.differences.subarray(half),
        data: block.data.subarray(half * PAGE_SIZE),
      });
      return;
    }
    if (block.full.length >= LEAST_PAGES_PER_BLOCK) {
      const fitting = Math.floor((ROOM_SHARE * MAX_PAYLOAD_BYTES * block.full.length) / payload.length);
      this.pagesPerBlock = Math.min(MAX_DATA_PAGES_PER_BLOCK, Math.max(LEAST_PAGES_PER_BLOCK, fitting));
    }
    this.bytesBuilt += payload.length;
    this.built.push({ payload, pages: [block.zeros, block.full] });
  }

  /** Sends all built blocks except the newest `keep`. What the link refuses stays recorded until attach(). */
  private sendBuilt(keep: 0 | 1): void {
    while (this.built.length > keep) {
      const block = this.built.shift();
      if (block !== undefined) this.sendNow('pages', block.payload, block.pages, this.built.length === 0);
    }
  }

  private sendNow(type: 'pages' | 'devices', payload: Uint8Array, pages: readonly Uint32Array[], last: boolean): void {
    const now = this.options.clock.now();
    this.sinceAcknowledge += payload.length;
    const acknowledge = last || this.sinceAcknowledge >= ACKNOWLEDGE_EVERY_BYTES;
    if (acknowledge) this.sinceAcknowledge = 0;
    // Recorded first, so that these pages are sent again if sending fails.
    this.unacknowledged.push({ pages, bytes: payload.length, sentAt: now });
    this.unacknowledgedBytes += payload.length;
    const bytes = this.link.sendBulk(type, payload, acknowledge);
    this.pagesOnWire += pages.reduce((sum, list) => sum + list.length, 0);
    this.bytesOnWire += bytes;
    this.nextSlot = Math.max(now, this.nextSlot) + (bytes / this.options.bandwidthBytesPerSecond) * 1000;
    this.options.onSent();
  }

  /** Resolves when the lane, the target and the bandwidth limit allow another message. */
  private async room(generation: number): Promise<void> {
    for (;;) {
      this.check(generation);
      const early = this.nextSlot - this.options.clock.now();
      if (this.unacknowledgedBytes >= MAX_UNACKNOWLEDGED_BYTES) await this.woken(generation);
      else if (early > 0) await this.woken(generation, early);
      else break;
    }
    await this.link.writable();
    this.check(generation);
  }

  /** Resolves at the next acknowledgement, or after `ms`. Rejects if the link has been replaced by then. */
  private async woken(generation: number, ms?: number): Promise<void> {
    this.check(generation);
    let timer: Disposable | null = null;
    await new Promise<void>((resolve) => {
      this.waiters.push(resolve);
      if (ms !== undefined) timer = this.options.clock.setTimeout(resolve, ms);
    });
    (timer as Disposable | null)?.dispose();
    this.check(generation);
  }

  private wake(): void {
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) waiter();
  }

  private check(generation: number): void {
    if (generation !== this.generation) throw new MigrationError('link-failed');
  }

  private noteCost(pages: number, bytes: number): void {
    const keep = this.cost.pages > COST_MEMORY_PAGES ? COST_MEMORY_PAGES / this.cost.pages : 1;
    this.cost = { pages: this.cost.pages * keep + pages, bytes: this.cost.bytes * keep + bytes };
  }
}
