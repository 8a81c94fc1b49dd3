import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeBaseDisk } from './testing/fake-base-disk.ts';
import { startDevices } from './testing/real-devices.ts';
import { ManualClock, settled } from './testing/manual-clock.ts';
import { MachineError } from './machine-error.ts';
import { OverlayDisk, SECTOR_BYTES } from './overlay-disk.ts';

const BLOCK = 4096;

function setUp(blocks = 8, chunkBytes = 8192, options: { cacheBytes?: number; readAheadBytes?: number } = {}) {
  const base = new FakeBaseDisk(blocks * BLOCK, chunkBytes);
  const clock = new ManualClock();
  const disk = new OverlayDisk(base, { clock, readAheadBytes: 0, ...options });
  const troubles: string[] = [];
  disk.onTrouble((sentence) => troubles.push(sentence));
  return { base, clock, disk, troubles };
}

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (seed * 17 + at * 3) & 0xff);
}

async function readAll(disk: OverlayDisk, base: FakeBaseDisk, offset: number, length: number): Promise<Uint8Array> {
  const results: Uint8Array[] = [];
  disk.get(offset, length, (data) => results.push(data));
  while (results.length === 0) {
    base.answerAll();
    await settled();
  }
  return results[0]!;
}

describe('OverlayDisk', () => {
  it('reads the base image, and answers from memory once a chunk was read', async () => {
    const { disk, base } = setUp();
    expect(disk.get_from_cache(512, 512)).toBeUndefined();
    expect(await readAll(disk, base, 512, 512)).toEqual(base.content.slice(512, 1024));
    expect(disk.get_from_cache(512, 512)).toEqual(base.content.slice(512, 1024));
    let now: Uint8Array | null = null;
    disk.get(0, 8192, (data) => (now = data));
    expect(now).toEqual(base.content.slice(0, 8192));
    expect(base.reads).toHaveLength(0);
  });

  it('shows a partial write at once, keeps it from the overlay until its remainder came, then holds the whole block', async () => {
    const { disk, base } = setUp();
    const data = pattern(1024, 5);
    let acknowledged = false;
    disk.set(BLOCK + 512, data, () => (acknowledged = true));
    expect(acknowledged).toBe(true);
    expect(disk.inFlight).toBe(1);
    expect(disk.get_from_cache(BLOCK + 512, 1024)).toEqual(data);
    expect([...disk.written()]).toEqual([]);
    expect([...disk.takeDirty()]).toEqual([]);
    expect(() => disk.readBlock(1, new Uint8Array(BLOCK))).toThrow(/Block 1 of the disk was never written/);
    base.answerAll();
    await settled();
    const expected = base.content.slice(BLOCK, 2 * BLOCK);
    expected.set(data, 512);
    const block = new Uint8Array(BLOCK);
    disk.readBlock(1, block);
    expect(block).toEqual(expected);
    expect([...disk.written()]).toEqual([1]);
    expect([...disk.takeDirty()]).toEqual([1]);
    expect([...disk.takeDirty()]).toEqual([]);
    expect(disk.inFlight).toBe(0);
  });

  it('copies what is written, so that the controller may reuse its buffer', () => {
    const { disk } = setUp();
    const data = pattern(BLOCK, 1);
    disk.set(0, data, () => undefined);
    data.fill(0);
    expect(disk.get_from_cache(0, BLOCK)).toEqual(pattern(BLOCK, 1));
  });

  it('is one linearizable disk to the guest under any interleaving of reads, writes and base answers', async () => {
    const command = fc.oneof(
      fc.record({ kind: fc.constant('read' as const), sector: fc.nat(63), sectors: fc.integer({ min: 1, max: 24 }) }),
      fc.record({ kind: fc.constant('write' as const), sector: fc.nat(63), sectors: fc.integer({ min: 1, max: 24 }), seed: fc.nat(255) }),
      fc.record({ kind: fc.constant('take' as const), block: fc.nat(7), seed: fc.nat(255) }),
      fc.record({ kind: fc.constant('answer' as const), which: fc.nat(10) }),
      fc.record({ kind: fc.constant('fail' as const), which: fc.nat(10) }),
      fc.record({ kind: fc.constant('wait' as const) }),
    );
    const shape = fc.record({
      chunkBytes: fc.constantFrom(2048, 4096, 8192, 12288),
      cacheBytes: fc.constantFrom(4096, 16384, 1 << 20),
      readAheadBytes: fc.constantFrom(0, 16384),
    });
    await fc.assert(
      fc.asyncProperty(shape, fc.array(command, { maxLength: 60 }), async ({ chunkBytes, ...options }, commands) => {
        const { disk, base, clock } = setUp(8, chunkBytes, options);
        const model = base.content.slice();
        const everWritten = new Set<number>();
        const open = new Set<{ offset: number; candidates: Uint8Array[] }>();
        const dirty = new Set<number>();
        const collect = (): void => {
          for (const block of disk.takeDirty()) dirty.add(block);
        };
        for (const step of commands) {
          switch (step.kind) {
            case 'read': {
              const offset = step.sector * SECTOR_BYTES;
              const length = Math.min(step.sectors * SECTOR_BYTES, model.length - offset);
              // A read may return the content of any moment between its start and its end.
              const entry = { offset, candidates: [model.slice(offset, offset + length)] };
              open.add(entry);
              disk.get(offset, length, (data) => {
                expect(open.delete(entry), 'a read is delivered once').toBe(true);
                expect(entry.candidates.some((each) => Buffer.compare(each, data) === 0)).toBe(true);
              });
              break;
            }
            case 'write': {
              const offset = step.sector * SECTOR_BYTES;
              const data = pattern(Math.min(step.sectors * SECTOR_BYTES, model.length - offset), step.seed);
              disk.set(offset, data, () => undefined);
              model.set(data, offset);
              for (let at = offset; at < offset + data.length; at += SECTOR_BYTES) everWritten.add(Math.floor(at / BLOCK));
              break;
            }
            case 'take':
              disk.writeBlock(step.block, pattern(BLOCK, step.seed));
              model.set(pattern(BLOCK, step.seed), step.block * BLOCK);
              dirty.add(step.block);
              everWritten.add(step.block);
              break;
            case 'answer':
              base.reads[step.which % Math.max(1, base.reads.length)]?.answer();
              break;
            case 'fail':
              base.reads[step.which % Math.max(1, base.reads.length)]?.fail('no answer');
              break;
            case 'wait':
              await clock.advance(300);
              break;
          }
          for (const entry of open) entry.candidates.push(model.slice(entry.offset, entry.offset + (entry.candidates[0]?.length ?? 0)));
          await settled();
          collect();
        }
        base.immediate = true;
        while (disk.inFlight > 0) {
          base.answerAll();
          await clock.advance(5000);
        }
        collect();
        expect(open.size).toBe(0);
        expect([...disk.written()]).toEqual([...everWritten].sort((a, b) => a - b));
        expect([...dirty].sort((a, b) => a - b)).toEqual([...everWritten].sort((a, b) => a - b));
        expect(Buffer.compare(await readAll(disk, base, 0, model.length), model)).toBe(0);
        expect(base.content[0]).toBe(1);
        disk.dispose();
      }),
      { numRuns: 300 },
    );
  });

  it('asks again for what failed, says so each time, and gives the guest nothing meanwhile', async () => {
    const { disk, base, clock, troubles } = setUp();
    let got: Uint8Array | null = null;
    disk.get(0, 512, (data) => (got = data));
    base.failAll('The disk server does not answer.');
    await settled();
    expect(troubles).toEqual([
      "The guest's disk cannot be read: The disk server does not answer. The guest has waited for bytes 0-8191 for 0 s; the next attempt is in 0.25 s.",
    ]);
    for (const wait of [250, 500, 1000, 2000, 4000, 4000]) {
      await clock.advance(wait - 1);
      expect(base.reads).toHaveLength(0);
      await clock.advance(1);
      expect(base.reads).toHaveLength(1);
      base.failAll('The disk server does not answer.');
      await settled();
    }
    expect(troubles).toHaveLength(7);
    expect(troubles.at(-1)).toMatch(/has waited for bytes 0-8191 for 11\.8 s; the next attempt is in 4 s/);
    expect(got).toBeNull();
    await clock.advance(4000);
    base.answerAll();
    await settled();
    expect(got).toEqual(base.content.slice(0, 512));
    expect(troubles.at(-1)).toBe("The guest's disk can be read again.");
    expect(clock.pending).toBe(0);
  });

  it('treats an answer of the wrong length as a failed read', async () => {
    const { disk, base, clock, troubles } = setUp();
    const whole = base.read.bind(base);
    base.read = () => Promise.resolve(new Uint8Array(3));
    let got: Uint8Array | null = null;
    disk.get(0, 512, (data) => (got = data));
    await settled();
    expect(troubles[0]).toMatch(/the disk gave 3 bytes instead of 8192/);
    base.read = whole;
    base.immediate = true;
    await clock.advance(250);
    expect(got).toEqual(base.content.slice(0, 512));
  });

  it('reads ahead of a sequential reader, further each time, and not of a scattered one', async () => {
    const { disk, base } = setUp(64, 4096, { readAheadBytes: 4 * 4096 });
    const read: number[] = [];
    const whole = base.read.bind(base);
    base.read = (offset, length) => {
      read.push(offset / 4096);
      return whole(offset, length);
    };
    await readAll(disk, base, 40 * 4096, 512);
    await readAll(disk, base, 20 * 4096, 512);
    expect(read).toEqual([40, 20]);
    await readAll(disk, base, 21 * 4096, 512);
    expect(read.slice(2).sort()).toEqual([21, 22]);
    await readAll(disk, base, 22 * 4096, 512);
    expect(read.slice(4)).toEqual([23, 24]);
    await readAll(disk, base, 23 * 4096, 512);
    expect(read.slice(6)).toEqual([25, 26, 27]);
  });

  it('forgets read-ahead that failed without a word', async () => {
    const { disk, base, troubles, clock } = setUp(64, 4096, { readAheadBytes: 4 * 4096 });
    await readAll(disk, base, 0, 512);
    disk.get(4096, 512, () => undefined);
    base.reads.find((each) => each.offset === 4096)?.answer();
    await settled();
    base.failAll('gone');
    await settled();
    expect(troubles).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('drains when the last read was delivered', async () => {
    const { disk, base } = setUp();
    await disk.drain();
    const order: string[] = [];
    disk.get(0, 512, () => order.push('delivered'));
    disk.set(3 * BLOCK, pattern(512, 1), () => undefined);
    const drained = disk.drain().then(() => order.push('drained'));
    base.reads[0]?.answer();
    await settled();
    expect(order).toEqual(['delivered']);
    base.answerAll();
    await drained;
    expect(order).toEqual(['delivered', 'drained']);
  });

  it('refuses to drain for longer than its limit, and names the bytes it waits for', async () => {
    const { disk, base, clock } = setUp(16);
    disk.get(0, 512, () => undefined);
    disk.set(9 * BLOCK, pattern(512, 1), () => undefined);
    const drained = disk.drain();
    const refused = expect(drained).rejects.toThrow(
      new MachineError(
        'disk-not-drained',
        'The guest still waits for bytes 0-8191, 32768-40959 of its disk after 5 s: server away. Try again when the server with the disk image answers.',
      ),
    );
    base.failAll('server away.');
    await clock.advance(5000);
    await refused;
    base.answerAll();
    await disk.drain();
  });

  it('asks at once for what failed when it is drained, for the guest stands still meanwhile', async () => {
    const { disk, base, clock } = setUp();
    disk.get(0, 512, () => undefined);
    for (const wait of [0, 250, 500, 1000]) {
      await clock.advance(wait);
      base.failAll('away');
      await settled();
    }
    expect(base.reads).toHaveLength(0);
    const drained = disk.drain();
    base.answerAll();
    await drained;
    expect(clock.pending).toBe(0);
  });

  it('drops a read the controller has cancelled', async () => {
    const { disk, base } = setUp();
    const controller = new AbortController();
    let delivered = false;
    disk.get(0, 512, () => (delivered = true), { signal: controller.signal });
    const drained = disk.drain();
    controller.abort();
    await drained;
    base.answerAll();
    await settled();
    expect(delivered).toBe(false);
    expect(disk.inFlight).toBe(0);
  });

  it('does not take a cancelled read for a recovery', async () => {
    const { disk, base, clock, troubles } = setUp();
    const controller = new AbortController();
    disk.get(0, 512, () => undefined, { signal: controller.signal });
    base.failAll('away');
    await clock.advance(250);
    base.failAll('away');
    await settled();
    controller.abort();
    expect(clock.pending).toBe(0);
    let got = false;
    disk.get(8192, 512, () => (got = true));
    base.failAll('away');
    await settled();
    expect(troubles.map((sentence) => /next attempt is in ([0-9.]+) s/.exec(sentence)?.[1])).toEqual(['0.25', '0.5', '1']);
    await clock.advance(1000);
    base.answerAll();
    await settled();
    expect(got).toBe(true);
    expect(troubles.at(-1)).toBe("The guest's disk can be read again.");
  });

  it('leaves no timer behind, and ends a drain by name, when it is disposed', async () => {
    const { disk, base, clock } = setUp();
    disk.get(0, 512, () => undefined);
    const refused = expect(disk.drain()).rejects.toThrow(/discarded while its disk was being drained/);
    base.failAll('away');
    await settled();
    disk.dispose();
    await refused;
    expect(clock.pending).toBe(0);
  });

  it('refuses a range outside the disk, a torn sector, and an image of odd size', () => {
    const { disk } = setUp();
    expect(() => disk.get(8 * BLOCK, 512, () => undefined)).toThrow(MachineError);
    expect(() => disk.set(7 * BLOCK + 3584, pattern(1024, 0), () => undefined)).toThrow(MachineError);
    expect(() => disk.set(100, pattern(512, 0), () => undefined)).toThrow(/sectors of 512 bytes/);
    expect(() => new OverlayDisk(new FakeBaseDisk(5000, 4096))).toThrow(/multiple of 4096/);
  });

  it("keeps its data out of v86's device state", () => {
    const { disk } = setUp();
    disk.set(0, pattern(BLOCK, 2), () => undefined);
    expect(disk.get_state()).toEqual([]);
    disk.set_state();
    expect(disk.get_from_cache(0, BLOCK)).toEqual(pattern(BLOCK, 2));
  });
});

describe("OverlayDisk on v86's IDE controller", () => {
  const SECTOR_COUNT = 0x1f2;
  const STATUS = 0x1f7;
  const BUSY = 0x80;
  const DATA_WAITS = 8;

  it('serves programmed reads and writes, and what was written is read back', async () => {
    const { guest, disk, base } = await startDevices();
    const { io } = guest;
    const command = (code: number, sector: number, count: number): void => {
      io.port_write8(0x1f6, 0xe0 | (sector >> 24));
      io.port_write8(SECTOR_COUNT, count);
      io.port_write8(0x1f3, sector & 0xff);
      io.port_write8(0x1f4, (sector >> 8) & 0xff);
      io.port_write8(0x1f5, (sector >> 16) & 0xff);
      io.port_write8(STATUS, code);
    };
    const read = async (sector: number, count: number): Promise<Uint8Array> => {
      command(0x20, sector, count);
      const words = new Uint16Array(count * 256);
      for (let at = 0; at < words.length; at++) {
        if (at % 256 === 0) {
          while ((io.port_read8(STATUS) & BUSY) !== 0) {
            expect(disk.inFlight).toBe(1);
            base.answerAll();
            await settled();
          }
          expect(io.port_read8(STATUS) & DATA_WAITS).toBe(DATA_WAITS);
        }
        words[at] = io.port_read16(0x1f0);
      }
      return new Uint8Array(words.buffer);
    };
    // A chunk that is not in memory: the controller is busy until the base has answered.
    expect(await read(300, 3)).toEqual(base.content.slice(300 * 512, 303 * 512));
    const data = pattern(512, 9);
    command(0x30, 1000, 1);
    for (const word of new Uint16Array(data.buffer)) io.port_write16(0x1f0, word);
    expect(disk.inFlight).toBe(1);
    expect(await read(1000, 1)).toEqual(data);
    expect(disk.inFlight).toBe(1);
    base.answerAll();
    await disk.drain();
    expect([...disk.takeDirty()]).toEqual([125]);
    const expected = base.content.slice(999 * 512, 1002 * 512);
    expected.set(data, 512);
    expect(await read(999, 3)).toEqual(expected);
  });
});
