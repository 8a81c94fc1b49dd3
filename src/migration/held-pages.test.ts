import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../shared/page.ts';
import { applyDifference } from './difference.ts';
import { HeldPages } from './held-pages.ts';
import { SeededRandom } from './testing/seeded-random.ts';

const SPACE = { ramPages: 5000, videoPages: 10, diskPages: 10 };
const PAGE = 7;
const random = new SeededRandom(1);
const base = random.bytes(PAGE_SIZE);

/** The page with this many words changed, all bits of each. */
function changed(page: Uint8Array, words: number): Uint8Array {
  const copy = page.slice();
  for (let word = 0; word < words; word++) for (let byte = 0; byte < 4; byte++) copy[word * 4 + byte] = ~(copy[word * 4 + byte] ?? 0);
  return copy;
}

let held: HeldPages;
/** What arrives at a target that holds `before`. */
function sent(content: Uint8Array, before: Uint8Array, page = PAGE): { readonly content: Uint8Array; readonly wasDifference: boolean } {
  const data = content.slice();
  const wasDifference = held.send(page, data);
  if (wasDifference) applyDifference(data, before);
  return { content: data, wasDifference };
}

beforeEach(() => {
  held = new HeldPages({ space: SPACE, basePage: (page) => (page === PAGE ? base : null) });
});

describe('A page', () => {
  it('travels as the difference from the base snapshot, then from what was sent last, where little has changed (MG12)', () => {
    const first = changed(base, 3);
    expect(sent(first, base)).toEqual({ content: first, wasDifference: true });
    const second = changed(first, 9);
    expect(sent(second, first)).toEqual({ content: second, wasDifference: true });
    expect(base).toEqual(new SeededRandom(1).bytes(PAGE_SIZE));
  });

  it('travels whole where much has changed, and as a difference from that afterwards', () => {
    const other = changed(base, 400);
    expect(sent(other, base)).toEqual({ content: other, wasDifference: false });
    const next = changed(other, 1);
    expect(sent(next, other)).toEqual({ content: next, wasDifference: true });
  });

  it('travels whole if nobody knows what the target holds: it was not in the base snapshot, is forgotten, or was zero', () => {
    expect(sent(changed(base, 1), base, 8).wasDifference).toBe(false);
    sent(changed(base, 1), base);
    held.forget(PAGE);
    expect(sent(changed(base, 2), base).wasDifference).toBe(false);
    held.sendZeros(PAGE);
    expect(sent(changed(base, 3), base).wasDifference).toBe(false);
  });

  it('need not travel while it is as in the base snapshot and was never sent', () => {
    expect(held.isBase(PAGE, base.slice())).toBe(true);
    expect(held.isBase(PAGE, changed(base, 1))).toBe(false);
    expect(held.isBase(8, new Uint8Array(PAGE_SIZE))).toBe(false);
    sent(changed(base, 1), base);
    expect(held.isBase(PAGE, base.slice())).toBe(false);
  });

  it('arrives as it was, whatever is sent in whatever order', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('send', 'zeros', 'forget', 'lost'), fc.nat(1024)), { maxLength: 30 }), (steps) => {
        held = new HeldPages({ space: SPACE, basePage: () => base });
        let now: Uint8Array = base.slice();
        let atTarget: Uint8Array = base;
        for (const [what, words] of steps) {
          if (what === 'zeros') {
            held.sendZeros(PAGE);
            now = atTarget = new Uint8Array(PAGE_SIZE);
            continue;
          }
          if (what === 'forget') held.forget(PAGE);
          now = changed(now, words);
          const arrived = sent(now, atTarget).content;
          if (Buffer.compare(arrived, now) !== 0) expect.fail('Another page arrived than was sent.');
          // The page was lost with its link, and the source knows that it may be lost.
          if (what === 'lost') held.forget(PAGE);
          else atTarget = now;
        }
      }),
    );
  });

  it('is remembered as long as there is room: of those that were sent, the latest', () => {
    const content = changed(base, 500);
    for (let page = 0; page < 4097; page++) sent(content, base, page);
    expect([1, 4096, 0].map((page) => sent(changed(content, 1), content, page).wasDifference)).toEqual([true, true, false]);
  });
});
