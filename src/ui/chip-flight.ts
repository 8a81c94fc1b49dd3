/** Moves an element visibly from where it was to where it is now (first, last, invert, play). */

const FLIGHT_MS = 800;

/** Where `element` is drawn now; null when nobody could see it fly. */
export function takeOff(element: HTMLElement): DOMRect | null {
  if (document.hidden || !element.isConnected) return null;
  return element.getBoundingClientRect();
}

/** Flies `element` in from `from`. Does nothing where motion is not wanted. State never waits for it. */
export function land(element: HTMLElement, from: DOMRect): void {
  if (window.matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const to = element.getBoundingClientRect();
  const dx = from.left - to.left;
  const dy = from.top - to.top;
  if (Math.abs(dx) < 1 && Math.abs(dy) < 1) return;
  element.classList.add('flying');
  const flight = element.animate(
    [
      { transform: `translate(${dx}px, ${dy}px)` },
      // A shallow arc, so that the eye follows it.
      { transform: `translate(${dx / 2}px, ${dy / 2 - 22}px) scale(1.04)`, offset: 0.5 },
      { transform: 'none' },
    ],
    { duration: FLIGHT_MS, easing: 'cubic-bezier(0.45, 0, 0.2, 1)' },
  );
  flight.onfinish = flight.oncancel = () => element.classList.remove('flying');
}
