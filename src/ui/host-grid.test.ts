import { describe, expect, it } from 'vitest';
import { hostGrid } from './host-grid.ts';

const WIDE = { width: 79.8, height: 51.5, narrow: false };
const SMALL = { width: 61.2, height: 48, narrow: false };
const PHONE = { width: 22.6, height: 52.7, narrow: true };

describe("the grid of the hosts' cards", () => {
  it.each([
    ['wide', WIDE, { 1: 'large 1', 2: 'large 2', 4: 'large 4', 5: 'large 3', 8: 'large 4', 12: 'small 6', 30: 'tiny 8' }],
    ['1024×768', SMALL, { 1: 'large 1', 2: 'large 2', 3: 'large 3', 5: 'small 5', 8: 'small 4', 12: 'tiny 6', 30: 'tiny 6' }],
    ['a phone', PHONE, { 1: 'large 1', 2: 'large 2', 5: 'small 2', 8: 'tiny 2', 30: 'tiny 2' }],
  ] as const)('follows the room there is: %s', (_, room, expected) => {
    expect(
      Object.fromEntries(
        Object.keys(expected).map((hosts) => {
          const { size, columns } = hostGrid(Number(hosts), room);
          return [hosts, `${size} ${columns}`];
        }),
      ),
    ).toEqual(expected);
  });

  it('never has larger cards for more hosts', () => {
    const order = ['large', 'small', 'tiny'];
    for (const room of [WIDE, SMALL, PHONE]) {
      const sizes = Array.from({ length: 40 }, (_, index) => order.indexOf(hostGrid(index + 1, room).size));
      expect(sizes).toEqual(sizes.toSorted());
    }
  });

  it('is large in one row, however low the window', () => {
    expect(hostGrid(3, { width: 61.2, height: 20, narrow: false })).toEqual({ size: 'large', columns: 3 });
  });
});
