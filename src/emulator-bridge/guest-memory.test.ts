import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../shared/page.ts';
import { totalPages } from '../migration/ports.ts';
import { fakePc, type FakePc } from './testing/fake-pc.ts';

/** Something that changes one page of the machine, and that page. */
function change(pc: FakePc, kind: number, where: number, value: number): number {
  const { ramPages, videoPages, diskPages } = pc.memory.space;
  switch (kind) {
    case 0: {
      const page = where % ramPages;
      pc.write(page * PAGE_SIZE + (where % PAGE_SIZE), value);
      return page;
    }
    case 1: {
      pc.planes[where % pc.planes.length] = value;
      return ramPages + Math.floor((where % pc.planes.length) / PAGE_SIZE);
    }
    case 2: {
      const at = where % pc.frameBuffer.length;
      pc.frameBuffer[at] = value;
      return ramPages + Math.floor((pc.planes.length + at) / PAGE_SIZE);
    }
    default: {
      const block = where % diskPages;
      pc.overlay.set(block * PAGE_SIZE, new Uint8Array(PAGE_SIZE).fill(value), () => undefined);
      return ramPages + videoPages + block;
    }
  }
}

const changes = fc.array(fc.tuple(fc.nat(3), fc.nat(10_000_000), fc.integer({ min: 1, max: 255 })), { maxLength: 20 });

function page(pc: FakePc, number: number): Uint8Array {
  const into = new Uint8Array(PAGE_SIZE);
  pc.memory.readPages(Uint32Array.of(number), into);
  return into;
}

describe('GuestMemory', () => {
  it('reports in each interval exactly the pages written in it, and in differsFromBase all that were ever written', () => {
    fc.assert(
      fc.property(fc.array(changes, { maxLength: 4 }), (intervals) => {
        const pc = fakePc();
        pc.memory.isBase();
        pc.memory.startDirtyLog();
        const ever = new Set<number>();
        // A value that is new in each interval: video memory is compared, and an equal write is no change.
        intervals.forEach((steps, interval) => {
          const written = new Set<number>();
          for (const [kind, where, value] of steps) {
            const number = change(pc, kind, where, ((value + interval * 50) % 255) + 1);
            if (pc.memory.differsFromBase().has(number)) written.add(number);
            ever.add(number);
          }
          const dirty = pc.memory.takeDirty();
          for (const number of written) if (number < pc.memory.space.ramPages) expect(dirty.has(number)).toBe(true);
          for (const number of dirty) expect(written.has(number)).toBe(true);
        });
        const differs = pc.memory.differsFromBase();
        for (const number of differs) expect(ever.has(number)).toBe(true);
        for (const number of ever) if (number < pc.memory.space.ramPages) expect(differs.has(number)).toBe(true);
      }),
      { numRuns: 12 },
    );
  });

  it('copies a machine completely with the first set and the dirty pages of the rounds after', () => {
    fc.assert(
      fc.property(changes, changes, changes, (before, during, last) => {
        const [source, target] = [fakePc(), fakePc()];
        for (const pc of [source, target]) pc.memory.isBase();
        const copy = (pages: Uint32Array): void => {
          const data = new Uint8Array(pages.length * PAGE_SIZE);
          source.memory.readPages(pages, data);
          target.memory.writePages(pages, data);
        };
        for (const [kind, where, value] of before) change(source, kind, where, value);
        source.memory.startDirtyLog();
        copy(source.memory.differsFromBase().toArray());
        for (const steps of [during, last]) {
          for (const [kind, where, value] of steps) change(source, kind, where, value);
          copy(source.memory.takeDirty().toArray());
        }
        const differs = source.memory.differsFromBase();
        expect([...target.memory.differsFromBase()]).toEqual([...differs]);
        for (const number of differs) expect(page(target, number)).toEqual(page(source, number));
      }),
      { numRuns: 12 },
    );
  });

  it('marks the same page again when it is written again in the next interval', () => {
    const pc = fakePc();
    pc.memory.startDirtyLog();
    for (let interval = 0; interval < 3; interval++) {
      pc.write(5 * PAGE_SIZE, interval);
      expect([...pc.memory.takeDirty()]).toEqual([5]);
    }
    expect([...pc.memory.takeDirty()]).toEqual([]);
  });

  it('answers differsFromBase without taking the dirty log', () => {
    const pc = fakePc();
    pc.memory.isBase();
    pc.memory.startDirtyLog();
    pc.write(3 * PAGE_SIZE, 1);
    pc.planes[0] = 1;
    const clearings = pc.clearings();
    expect([...pc.memory.differsFromBase()]).toEqual([3, pc.memory.space.ramPages]);
    expect(pc.clearings()).toBe(clearings);
    expect([...pc.memory.takeDirty()]).toEqual([3, pc.memory.space.ramPages]);
  });

  it('does not report a page that was written before the dirty log was started', () => {
    const pc = fakePc();
    pc.write(3 * PAGE_SIZE, 1);
    pc.planes[0] = 1;
    pc.memory.startDirtyLog();
    expect([...pc.memory.takeDirty()]).toEqual([]);
    expect(pc.memory.differsFromBase().has(3)).toBe(true);
  });

  it('clears the TLB whenever it clears the marks', () => {
    const pc = fakePc();
    const clearings = pc.clearings();
    pc.memory.startDirtyLog();
    pc.memory.takeDirty();
    expect(pc.clearings()).toBe(clearings + 2);
  });

  it('counts pages it was given as different from the base', () => {
    const pc = fakePc();
    pc.memory.isBase();
    const { ramPages, videoPages } = pc.memory.space;
    const pages = Uint32Array.of(1, ramPages + 2, ramPages + videoPages + 3);
    pc.memory.writePages(pages, new Uint8Array(3 * PAGE_SIZE).fill(7));
    expect([...pc.memory.differsFromBase()]).toEqual([...pages]);
    for (const number of pages) expect(page(pc, number)[0]).toBe(7);
  });

  it('refuses pages outside, and data of another length', () => {
    const pc = fakePc();
    const outside = Uint32Array.of(totalPages(pc.memory.space));
    expect(() => pc.memory.readPages(outside, new Uint8Array(PAGE_SIZE))).toThrow(RangeError);
    expect(() => pc.memory.writePages(outside, new Uint8Array(PAGE_SIZE))).toThrow(RangeError);
    expect(() => pc.memory.writePages(Uint32Array.of(0), new Uint8Array(PAGE_SIZE - 1))).toThrow(RangeError);
  });
});
