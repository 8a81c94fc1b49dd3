import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../shared/page.ts';
import type { PageSpace } from '../migration/ports.ts';
import { BaseSnapshotDecoder, checkFits, decodeBaseSnapshot, saveBaseSnapshot, type BaseSnapshot } from './base-snapshot.ts';
import type { Machine } from './machine.ts';
import { createCompressor } from './page-codec-engines.ts';

const space: PageSpace = { ramPages: 3000, videoPages: 20, diskPages: 8 };
const devices = Uint8Array.of(1, 2, 3, 4, 5);

/** A machine whose memory is zero but for these pages, each filled with a value. */
function machineWith(pages: ReadonlyMap<number, number>): Machine {
  return {
    space,
    saveDevices: () => Promise.resolve(devices),
    readPages: (numbers: Uint32Array, into: Uint8Array) => {
      numbers.forEach((page, index) => into.fill(pages.get(page) ?? 0, index * PAGE_SIZE, (index + 1) * PAGE_SIZE));
    },
  } as Partial<Machine> as Machine;
}

async function load(bytes: Uint8Array): Promise<Map<number, number>> {
  return pagesOf(await decodeBaseSnapshot(bytes));
}

function pagesOf(snapshot: BaseSnapshot): Map<number, number> {
  const pages = new Map<number, number>();
  for (const { pages: numbers, data } of snapshot.blocks) numbers.forEach((page, index) => pages.set(page, data[index * PAGE_SIZE] ?? 0));
  return pages;
}

const good = saveBaseSnapshot(
  machineWith(
    new Map([
      [0, 1],
      [2999, 2],
      [3001, 3],
    ]),
  ),
);
const damaged = async (change: (view: DataView, bytes: Uint8Array) => void): Promise<Uint8Array> => {
  const bytes = (await good).slice();
  change(new DataView(bytes.buffer), bytes);
  return bytes;
};
const refused = (sentence: RegExp) => ({ name: 'MachineError', code: 'state-invalid', message: expect.stringMatching(sentence) as string });

describe('the base snapshot', () => {
  it('gives back devices and exactly the pages that are not zero', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(3019), fc.integer({ min: 1, max: 255 }))), async (entries) => {
        const pages = new Map(entries);
        const bytes = await saveBaseSnapshot(machineWith(pages));
        expect(new Map([...(await load(bytes))].sort())).toEqual(new Map([...pages].sort()));
        expect((await decodeBaseSnapshot(bytes)).devices).toEqual(devices);
      }),
      { numRuns: 8 },
    );
  });

  it('holds more pages than a block', async () => {
    const pages = new Map(Array.from({ length: 2500 }, (_, page) => [page, (page % 255) + 1] as const));
    expect(await load(await saveBaseSnapshot(machineWith(pages)))).toEqual(pages);
  });

  it('knows each stored page by its number', async () => {
    const snapshot = await decodeBaseSnapshot(
      await saveBaseSnapshot(machineWith(new Map(Array.from({ length: 1500 }, (_, page) => [2 * page, (page % 255) + 1])))),
    );
    expect([0, 2, 2046, 2048, 2998].map((page) => snapshot.page(page)?.[4095])).toEqual([1, 2, (1023 % 255) + 1, (1024 % 255) + 1, (1499 % 255) + 1]);
    expect([1, 3000, 3019, 99_999].map((page) => snapshot.page(page))).toEqual([null, null, null, null]);
  });

  it('is read in pieces of any size, and then says the same of a damaged one', async () => {
    const whole = await saveBaseSnapshot(machineWith(new Map(Array.from({ length: 2500 }, (_, page) => [page, (page % 255) + 1] as const))));
    const damaged = whole.slice();
    damaged.fill(0xff, damaged.length - 8);
    const compressor = await createCompressor();
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(40), fc.nat(whole.length)), { maxLength: 20 }), fc.boolean(), (cuts, good) => {
        const decoder = new BaseSnapshotDecoder(compressor);
        const ends = [...cuts, whole.length].sort((a, b) => a - b);
        ends.forEach((end, index) => decoder.push((good ? whole : damaged).subarray(ends[index - 1] ?? 0, end)));
        if (good) expect(pagesOf(decoder.finish()).get(2499)).toBe((2499 % 255) + 1);
        else expect(() => decoder.finish()).toThrow(expect.objectContaining(refused(/damaged/)));
      }),
      { numRuns: 30 },
    );
  });

  it('is the same for the same machine', async () => {
    const machine = machineWith(new Map([[7, 7]]));
    expect(await saveBaseSnapshot(machine)).toEqual(await saveBaseSnapshot(machine));
  });

  it('refuses what is too short for a header', async () => {
    await expect(decodeBaseSnapshot(new Uint8Array(27))).rejects.toMatchObject(refused(/only 27 bytes/));
  });
  it('refuses another magic number', async () => {
    await expect(load(await damaged((view) => view.setUint8(0, 0)))).rejects.toMatchObject(refused(/does not begin/));
  });
  it('refuses another version', async () => {
    await expect(load(await damaged((view) => view.setUint32(4, 9, true)))).rejects.toMatchObject(refused(/format 9/));
  });
  it('refuses more pages than any machine has, before it allocates for them', async () => {
    await expect(load(await damaged((view) => view.setUint32(8, 2 ** 31, true)))).rejects.toMatchObject(refused(/more than the/));
  });
  it('refuses a machine of another size', async () => {
    const snapshot = await decodeBaseSnapshot(await good);
    checkFits(snapshot, space);
    expect(() => checkFits(snapshot, { ...space, ramPages: 4000 })).toThrow(expect.objectContaining(refused(/this one has 4000/)));
  });
  it('refuses a device state that is too large', async () => {
    await expect(load(await damaged((view) => view.setUint32(16, 2 ** 30, true)))).rejects.toMatchObject(refused(/device state is too large/));
  });
  it('refuses a bitmap that does not match the number of pages', async () => {
    await expect(load(await damaged((_, bytes) => (bytes[28] = 3)))).rejects.toMatchObject(refused(/bitmap is wrong/));
  });
  it('refuses a wrong number of blocks', async () => {
    await expect(load(await damaged((view) => view.setUint32(24, 2, true)))).rejects.toMatchObject(refused(/number of its blocks/));
  });
  it('refuses bytes behind its end', async () => {
    const bytes = new Uint8Array((await good).length + 1);
    bytes.set(await good);
    await expect(load(bytes)).rejects.toMatchObject(refused(/1 bytes follow/));
  });
  it('refuses to be cut short anywhere', async () => {
    const bytes = await good;
    for (let length = 0; length < bytes.length; length += 13) {
      await expect(load(bytes.subarray(0, length))).rejects.toMatchObject({ code: 'state-invalid' });
    }
  });
  it('refuses a block that does not unpack to the pages it should', async () => {
    const bytes = await damaged((_, all) => all.fill(0xff, all.length - 8));
    await expect(load(bytes)).rejects.toMatchObject(refused(/damaged/));
  });
});
