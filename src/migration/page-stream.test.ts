import { beforeEach, describe, expect, it } from 'vitest';
import { Bitmap } from '../shared/bitmap.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import { ACKNOWLEDGE_EVERY_BYTES, MAX_UNACKNOWLEDGED_BYTES } from './limits.ts';
import { PageSink } from './page-sink.ts';
import { PageStream, type BulkSender, type PageStreamOptions } from './page-stream.ts';
import type { TargetVm } from './ports.ts';
import { deflateCompressor, testPageHash } from './testing/codecs.ts';
import { SeededRandom } from './testing/seeded-random.ts';
import { VirtualClock } from './testing/virtual-clock.ts';
import { settle } from './testing/world.ts';
import { HEADER_BYTES, MAX_PAYLOAD_BYTES } from './wire.ts';

const PAGES = 2000;
const SPACE = { ramPages: PAGES - 100, videoPages: 50, diskPages: 50 };

interface Sent {
  readonly type: 'pages' | 'devices';
  readonly payload: Uint8Array;
  readonly acknowledge: boolean;
}

class RecordingLink implements BulkSender {
  readonly sent: Sent[] = [];
  /** Refuses everything after this many messages. */
  breaksAfter = Number.POSITIVE_INFINITY;
  blocked: (() => void)[] | null = null;

  sendBulk(type: Sent['type'], payload: Uint8Array, acknowledge: boolean): number {
    if (this.sent.length >= this.breaksAfter) throw new Error('broken');
    this.sent.push({ type, payload, acknowledge });
    return payload.length + HEADER_BYTES;
  }

  writable(): Promise<void> {
    const { blocked } = this;
    return blocked === null ? Promise.resolve() : new Promise((resolve) => blocked.push(resolve));
  }
}

function pages(...numbers: number[]): Bitmap {
  const bitmap = new Bitmap(PAGES);
  for (const page of numbers) bitmap.add(page);
  return bitmap;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

describe('The page stream', () => {
  let memory: Uint8Array;
  let copy: Uint8Array;
  /** The base of both sides, or null if neither knows it. */
  let base: Uint8Array | null;
  let link: RecordingLink;
  let clock: VirtualClock;
  let tasks: (() => void)[];
  let sink: PageSink;

  beforeEach(() => {
    memory = new Uint8Array(PAGES * PAGE_SIZE);
    copy = new Uint8Array(PAGES * PAGE_SIZE);
    base = null;
    link = new RecordingLink();
    clock = new VirtualClock(0);
    tasks = [];
    const at = (of: Uint8Array, page: number): Uint8Array => of.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    sink = new PageSink(
      {
        space: SPACE,
        baseDevices: () => null,
        readPages: (numbers: Uint32Array, into: Uint8Array) => numbers.forEach((page, index) => at(into, index).set(at(copy, page))),
        writePages: (numbers: Uint32Array, data: Uint8Array) => numbers.forEach((page, index) => at(copy, page).set(at(data, index))),
      } as TargetVm,
      deflateCompressor,
      testPageHash,
    );
  });

  function stream(changes: Partial<PageStreamOptions> = {}): PageStream {
    return new PageStream(
      {
        vm: {
          space: SPACE,
          baseDevices: () => null,
          basePage: (page) => base?.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE) ?? null,
          readPages: (numbers, into) =>
            numbers.forEach((page, index) => into.set(memory.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE), index * PAGE_SIZE)),
        },
        clock,
        compressor: deflateCompressor,
        pageHash: testPageHash,
        nextTask: () => Promise.resolve(),
        bandwidthBytesPerSecond: Number.POSITIVE_INFINITY,
        roundTripMs: () => null,
        onSent: () => undefined,
        ...changes,
      },
      link,
    );
  }

  function fillRandomly(numbers: readonly number[], seed = 1): void {
    const random = new SeededRandom(seed);
    const words = new Uint32Array(memory.buffer);
    const perPage = PAGE_SIZE / 4;
    for (const page of numbers) for (let at = 0; at < perPage; at++) words[page * perPage + at] = random.next() * 2 ** 32;
  }

  function applyAll(): void {
    for (const { type, payload } of link.sent.splice(0)) sink.apply(type, payload);
  }

  it('brings every pending page to the target, compressible, random or zero, in messages within the limit (MG12, I3)', async () => {
    const sender = stream();
    fillRandomly(range(100, 400));
    for (const page of range(400, 900)) memory.fill(page, page * PAGE_SIZE, page * PAGE_SIZE + 900);
    copy.fill(7, 900 * PAGE_SIZE, 1500 * PAGE_SIZE);
    sender.add(pages(...range(100, 1500), 1999));
    await sender.flush();
    expect(link.sent.every(({ payload }) => payload.length <= MAX_PAYLOAD_BYTES)).toBe(true);
    applyAll();
    expect(Buffer.compare(copy, memory)).toBe(0);
    expect(sink.digest.value()).toBe(sender.digest.value());
    expect(sender.totals.pages).toBe(1401);
  });

  it('names zero pages and sends nothing for them (MG12)', async () => {
    const sender = stream();
    sender.add(pages(...range(0, PAGES)));
    await sender.flush();
    expect(sender.totals.bytes).toBeLessThan(2000);
  });

  it('leaves out a page that the target has with the same content, and sends it when it has changed (MG12)', async () => {
    const sender = stream();
    fillRandomly([5, 6]);
    sender.add(pages(5, 6));
    await sender.flush();
    applyAll();
    const before = sender.totals.pages;
    memory.fill(9, 6 * PAGE_SIZE, 7 * PAGE_SIZE);
    sender.add(pages(5, 6));
    await sender.flush();
    expect(sender.totals.pages - before).toBe(1);
    applyAll();
    expect(Buffer.compare(copy, memory)).toBe(0);
  });

  /** Does what a guest does to a page: increments one word of it. */
  function count(numbers: readonly number[]): void {
    const words = new Uint32Array(memory.buffer);
    for (const page of numbers) words[page * (PAGE_SIZE / 4) + 5] = (words[page * (PAGE_SIZE / 4) + 5] ?? 0) + 1;
  }

  it('sends what little has changed of a page, of the base snapshot at first, and nothing of one that has not (MG12, I3)', async () => {
    fillRandomly(range(0, 300));
    base = memory.slice();
    copy.set(base);
    const sender = stream();
    count(range(0, 200));
    sender.add(pages(...range(0, 300)));
    await sender.flush();
    expect(sender.totals.pages).toBe(200);
    for (let time = 0; time < 3; time++) {
      count(range(100, 200));
      sender.add(pages(...range(100, 200)));
      await sender.flush();
    }
    expect(sender.totals.bytes).toBeLessThan(500 * 40);
    applyAll();
    expect(Buffer.compare(copy, memory)).toBe(0);
    expect(sink.digest.value()).toBe(sender.digest.value());
  });

  it('sends no difference from what a link may have lost (MG32, I3)', async () => {
    fillRandomly(range(0, 100));
    base = memory.slice();
    copy.set(base);
    const sender = stream();
    count(range(0, 100));
    sender.add(pages(...range(0, 100)));
    await sender.flush();
    sender.detach();
    link = new RecordingLink();
    sender.attach(link, 0);
    sink.restart();
    await sender.flush();
    expect(sender.totals.bytes).toBeGreaterThan(100 * PAGE_SIZE);
    applyAll();
    expect(Buffer.compare(copy, memory)).toBe(0);
  });

  it('is refused a difference from a page that the target does not have (MG7)', async () => {
    const disk = PAGES - 1;
    fillRandomly([disk]);
    base = memory.slice();
    const sender = stream();
    count([disk]);
    sender.add(pages(disk));
    await sender.flush();
    expect(() => applyAll()).toThrow(expect.objectContaining({ cause: 'bad-message' }) as Error);
  });

  it('asks for an acknowledgement every 256 KiB and with the last message (MG13)', async () => {
    const sender = stream();
    fillRandomly(range(0, 300));
    sender.add(pages(...range(0, 300)));
    await sender.flush();
    expect(link.sent.at(-1)?.acknowledge).toBe(true);
    let since = 0;
    for (const { payload, acknowledge } of link.sent) {
      since += payload.length;
      expect(since).toBeLessThan(ACKNOWLEDGE_EVERY_BYTES + MAX_PAYLOAD_BYTES);
      if (acknowledge) since = 0;
    }
  });

  it('asks for an acknowledgement also when the round ends with pages the target has (MG13)', async () => {
    const sender = stream();
    fillRandomly(range(0, 200));
    sender.add(pages(...range(100, 200)));
    await sender.flush();
    link.sent.length = 0;
    sender.add(pages(...range(0, 200)));
    await sender.flush();
    expect(link.sent.at(-1)?.acknowledge).toBe(true);
  });

  it('stops at 4 MiB unacknowledged, and goes on as they are applied (MG13)', async () => {
    const sender = stream();
    fillRandomly(range(0, 1500));
    sender.add(pages(...range(0, 1500)));
    let done = false;
    void sender.flush().then(() => {
      done = true;
    });
    await settle();
    expect(done).toBe(false);
    expect(sender.unappliedBytes).toBeGreaterThanOrEqual(MAX_UNACKNOWLEDGED_BYTES);
    expect(sender.unappliedBytes).toBeLessThan(MAX_UNACKNOWLEDGED_BYTES + 4 * MAX_PAYLOAD_BYTES);
    sender.acknowledge(link.sent.length);
    await settle();
    expect(done).toBe(true);
  });

  it('waits for the lane and for nothing else (MG14)', async () => {
    link.blocked = [];
    const sender = stream();
    fillRandomly(range(0, 40));
    sender.add(pages(...range(0, 40)));
    const flushed = sender.flush();
    await settle();
    expect(link.sent).toHaveLength(0);
    expect(clock.pending).toBe(0);
    const waiting = link.blocked;
    link.blocked = null;
    for (const resolve of waiting) resolve();
    await flushed;
    expect(link.sent.length).toBeGreaterThan(1);
  });

  it('gives the guest its turn after every step while it runs, and takes none from the pause (MG12)', async () => {
    let turns = 0;
    const sender = stream({
      nextTask: () => {
        turns++;
        return Promise.resolve();
      },
    });
    fillRandomly(range(0, 300));
    sender.add(pages(...range(0, 300)));
    await sender.flush();
    expect(turns).toBeGreaterThanOrEqual(300 / 48);
    const before = turns;
    sender.guestStopped();
    sender.add(pages(...range(300, 600)));
    await sender.flush();
    expect(turns).toBe(before);
  });

  it('keeps to the bandwidth limit by the clock (MG14)', async () => {
    const sender = stream({ bandwidthBytesPerSecond: 100_000 });
    fillRandomly(range(0, 200));
    sender.add(pages(...range(0, 200)));
    const flushed = sender.flush();
    do await settle();
    while (clock.fireNext());
    await flushed;
    const seconds = clock.now() / 1000;
    expect(sender.totals.bytes / 100_000 - seconds).toBeLessThan(1.5);
    expect(seconds).toBeGreaterThan(6);
    expect(clock.pending).toBe(0);
  });

  it('refuses an acknowledgement of what was never sent, or of less than before (MG6)', async () => {
    const sender = stream();
    fillRandomly([1]);
    sender.add(pages(1));
    await sender.flush();
    expect(() => sender.acknowledge(2)).toThrow(expect.objectContaining({ cause: 'bad-message' }) as Error);
    sender.acknowledge(1);
    expect(() => sender.acknowledge(0)).toThrow(expect.objectContaining({ cause: 'bad-message' }) as Error);
  });

  it('goes on over another link with what the target has not applied, and nothing else (MG32)', async () => {
    const sender = stream();
    fillRandomly(range(0, 400));
    sender.add(pages(...range(0, 400)));
    await sender.flush();
    const arrived = link.sent.slice(0, 10);
    for (const { type, payload } of arrived) sink.apply(type, payload);
    const sentPages = sender.totals.pages;
    sender.detach();
    link = new RecordingLink();
    sender.attach(link, 10);
    sink.restart();
    expect(sender.pagesLeft).toBeGreaterThan(0);
    expect(sender.pagesLeft).toBeLessThan(300);
    const again = sender.pagesLeft;
    await sender.flush();
    expect(sender.totals.pages - sentPages).toBe(again);
    applyAll();
    expect(Buffer.compare(copy, memory)).toBe(0);
    expect(sink.digest.value()).toBe(sender.digest.value());
  });

  it('loses no page when the link refuses a message, whichever it is (MG32, I3)', async () => {
    // Blocks that must be cut in halves, with zero pages among them: one step sends several messages.
    fillRandomly([...range(0, 90), ...range(120, 200)]);
    const wanted = pages(...range(0, 200));
    const whole = stream();
    whole.add(wanted);
    await whole.flush();
    const messages = link.sent.length;
    expect(messages).toBeGreaterThan(8);
    for (let breaksAfter = 0; breaksAfter < messages; breaksAfter++) {
      copy.fill(0xff);
      link = new RecordingLink();
      link.breaksAfter = breaksAfter;
      const sender = stream();
      sender.add(wanted);
      await expect(sender.flush()).rejects.toThrow('broken');
      applyAll();
      sender.detach();
      link = new RecordingLink();
      sender.attach(link, breaksAfter);
      sink.restart();
      await sender.flush();
      applyAll();
      const end = 200 * PAGE_SIZE;
      expect(Buffer.compare(copy.subarray(0, end), memory.subarray(0, end)), `broken after ${breaksAfter}`).toBe(0);
    }
  });

  it('tells whoever waits that the link was given up', async () => {
    const sender = stream();
    fillRandomly(range(0, 1500));
    sender.add(pages(...range(0, 1500)));
    const flushed = sender.flush();
    await settle();
    const applied = sender.applied(0);
    sender.detach();
    await expect(flushed).rejects.toMatchObject({ cause: 'link-failed' });
    await expect(applied).rejects.toMatchObject({ cause: 'link-failed' });
  });

  it('estimates what is left as it has been compressing, with what is on its way (MG15)', async () => {
    const sender = stream();
    for (const page of range(0, 600)) memory.fill(page, page * PAGE_SIZE, page * PAGE_SIZE + 100);
    sender.add(pages(...range(0, 600)));
    await sender.flush();
    sender.acknowledge(link.sent.length);
    expect(sender.bytesLeft).toBe(0);
    sender.add(pages(...range(600, 700)));
    expect(sender.bytesLeft).toBeLessThan(100 * 500);
    fillRandomly(range(700, 1500));
    sender.add(pages(...range(700, 1500)));
    await sender.flush();
    sender.acknowledge(link.sent.length);
    sender.add(pages(...range(1500, 1600)));
    expect(sender.bytesLeft).toBeGreaterThan(100 * 2500);
  });

  it('sends what is added while it sends', async () => {
    const sender = stream({
      nextTask: () => {
        const task = tasks.shift();
        task?.();
        return Promise.resolve();
      },
    });
    fillRandomly(range(0, 120));
    tasks.push(() => sender.add(pages(...range(100, 120))));
    sender.add(pages(...range(0, 60)));
    await sender.flush();
    expect(sender.pagesLeft).toBe(0);
    expect(sender.totals.pages).toBe(80);
  });
});
