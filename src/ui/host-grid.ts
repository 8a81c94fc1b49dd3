/** How large the hosts' cards are drawn: as large as the window has room for above a console of a useful height. */

type CardSize = 'large' | 'small' | 'tiny';

export interface HostGrid {
  readonly size: CardSize;
  /** Chosen so that all rows have about the same number of cards. */
  readonly columns: number;
}

/** In rem, the page's unit of length. */
export interface GridRoom {
  /** Width of the area for the cards. */
  readonly width: number;
  /** Height of the window. */
  readonly height: number;
  /** The page is one column (a phone), which scrolls. */
  readonly narrow: boolean;
}

/** In rem, as cards.css has it: the least width of a card that cuts no text, its height, and the gap between two. */
const SIZES: readonly (readonly [size: CardSize, width: number, narrowWidth: number, height: number, gap: number])[] = [
  ['large', 18.5, 9.5, 7.7, 0.8],
  ['small', 10, 9, 6, 0.5],
  ['tiny', 9, 9, 5, 0.5],
];
/** Header, headline, gaps and the least console; on a phone, what comes before the console. */
const REST = 34.3;
const REST_NARROW = 30;

export function hostGrid(hosts: number, room: GridRoom): HostGrid {
  const free = room.height - (room.narrow ? REST_NARROW : REST);
  for (const [size, width, narrowWidth, height, gap] of SIZES) {
    const most = Math.max(1, Math.floor((room.width + gap) / ((room.narrow ? narrowWidth : width) + gap)));
    const rows = Math.max(1, Math.ceil(hosts / most));
    // One row fits into any window, and the smallest cards are the last resort.
    if (rows === 1 || size === 'tiny' || rows * height + (rows - 1) * gap <= free) return { size, columns: Math.max(1, Math.ceil(hosts / rows)) };
  }
  throw new RangeError('There is no smallest card.');
}
