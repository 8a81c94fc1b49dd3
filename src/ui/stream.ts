import { el, show } from './dom.ts';

/** The stream starts and ends this far inside the two elements, so that it touches them. */
const OVERLAP_PX = 3;

export interface Stream {
  readonly element: HTMLElement;
  /** Draws from one element's edge to the other's, in the coordinates of `frame`; nothing if either is missing. */
  place(frame: HTMLElement, from: HTMLElement | null, to: HTMLElement | null): void;
}

/** Pages on their way: dots that run from a VM to the place where it arrives. */
export function stream(): Stream {
  const element = el('div', { class: 'stream', 'aria-hidden': 'true' });
  return {
    element,
    place(frame, from, to) {
      show(element, from !== null && to !== null);
      if (from === null || to === null) return;
      const origin = frame.getBoundingClientRect();
      const a = from.getBoundingClientRect();
      const b = to.getBoundingClientRect();
      const start = edgeTowards(a, b);
      const end = edgeTowards(b, a);
      const length = Math.hypot(end.x - start.x, end.y - start.y);
      const angle = Math.atan2(end.y - start.y, end.x - start.x);
      element.style.width = `${length}px`;
      element.style.transform = `translate(${start.x - origin.left}px, ${start.y - origin.top}px) rotate(${angle}rad)`;
    },
  };
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Where the straight line between the centres of two boxes leaves the first box. */
export function edgeTowards(box: Pick<DOMRect, 'left' | 'top' | 'width' | 'height'>, other: Pick<DOMRect, 'left' | 'top' | 'width' | 'height'>): Point {
  const x = box.left + box.width / 2;
  const y = box.top + box.height / 2;
  const dx = other.left + other.width / 2 - x;
  const dy = other.top + other.height / 2 - y;
  if (dx === 0 && dy === 0) return { x, y };
  const share = Math.min(dx === 0 ? Infinity : (box.width / 2 - OVERLAP_PX) / Math.abs(dx), dy === 0 ? Infinity : (box.height / 2 - OVERLAP_PX) / Math.abs(dy));
  return { x: x + dx * share, y: y + dy * share };
}
