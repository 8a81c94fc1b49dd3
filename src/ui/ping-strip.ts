import { disposable, type Disposable } from '../shared/disposable.ts';
import { el, setAttribute, setText } from './dom.ts';
import { formatCount, formatMs } from './format.ts';
import { pingScale, PING_WINDOW_MS, type PingHistory, type PingSummary } from './ping-model.ts';

const BAR_PITCH_PX = 4;
const BAR_WIDTH_PX = 3;
/** An answer of well under a millisecond still leaves a mark. */
const SHORTEST_BAR_PX = 2;

export interface PingStrip extends Disposable {
  readonly element: HTMLElement;
  /** Draws the minute that ends now. */
  draw(history: PingHistory): void;
}

/** Little bars: the round trip of the gateway's pings to the VM over the last minute; lost ones in red, full height. */
export function pingStrip(vmId: string, options: { readonly title: string | null }): PingStrip {
  const canvas = el('canvas', { class: 'ping-canvas', role: 'img' });
  const scale = el('span', { class: 'ping-scale', 'aria-hidden': 'true' });
  const lost = el('span', { class: 'ping-lost' });
  const words = el('p', { class: 'ping-words' });
  const large = options.title !== null;
  const element = el(
    'div',
    { class: 'ping-strip', 'data-testid': 'ping-strip', 'data-vm-id': vmId },
    large ? el('h3', { class: 'ping-title' }, options.title, lost) : null,
    el('div', { class: 'ping-frame' }, canvas, large ? scale : null),
    large ? words : null,
  );
  const size = { width: 0, height: 0 };
  const observer = new ResizeObserver(([entry]) => {
    if (entry === undefined) return;
    size.width = entry.contentRect.width;
    size.height = entry.contentRect.height;
  });
  observer.observe(canvas);
  return {
    element,
    draw(history) {
      const now = performance.now();
      const summary = history.summary(now);
      setAttribute(canvas, 'aria-label', `Pings: ${lostWords(summary)}; ${speedWords(summary)}`);
      element.dataset['lost'] = String(summary.lost);
      element.dataset['answered'] = String(summary.answered);
      if (large) {
        setText(lost, lostWords(summary));
        setAttribute(lost, 'data-bad', summary.lost > 0);
        setText(words, speedWords(summary));
        setText(scale, formatMs(pingScale(summary.worstMs)));
      }
      if (size.width > 0) drawBars(canvas, size, history, now, pingScale(summary.worstMs));
    },
    ...disposable(() => observer.disconnect()),
  };
}

function lostWords({ lost, answered }: PingSummary): string {
  const total = lost + answered;
  return total === 0 ? 'none yet' : `${lost === 0 ? 'none' : formatCount(lost)} of ${formatCount(total)} lost`;
}

function speedWords({ medianMs, worstMs }: PingSummary): string {
  return medianMs === null || worstMs === null ? 'No answers yet.' : `Usually ${formatMs(medianMs)}, ${formatMs(worstMs)} at worst.`;
}

function drawBars(
  canvas: HTMLCanvasElement,
  size: { readonly width: number; readonly height: number },
  history: PingHistory,
  now: number,
  scaleMs: number,
): void {
  const context = canvas.getContext('2d');
  if (context === null) return;
  const ratio = window.devicePixelRatio;
  const width = Math.round(size.width * ratio);
  const height = Math.round(size.height * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, size.width, size.height);
  const style = getComputedStyle(canvas);
  const colour = style.color;
  const lostColour = style.outlineColor;
  const count = Math.max(1, Math.min(PING_WINDOW_MS / 250, Math.floor(size.width / BAR_PITCH_PX)));
  const pitch = size.width / count;
  history.bars(now, count).forEach((bar, index) => {
    if (bar === null) return;
    const lost = bar.lost > 0;
    const tall = lost ? size.height : Math.max(SHORTEST_BAR_PX, (size.height * (bar.worstMs ?? 0)) / scaleMs);
    context.fillStyle = lost ? lostColour : colour;
    context.fillRect(index * pitch, size.height - tall, Math.min(BAR_WIDTH_PX, pitch - 1), tall);
  });
}
