/** Contrast of every text on a page against its background, as WCAG 2 computes it, including the states that a pointer causes. */
import type { CDPSession, Page } from '@playwright/test';

/** Words that are hard to read. */
export interface PaleText {
  readonly state: string;
  readonly text: string;
  /** The element's tag and classes. */
  readonly where: string;
  readonly ratio: number;
}

/** WCAG 2.2, 1.4.3 (AA) for text of any size. */
const ENOUGH = 4.5;
const STATES = ['hover', 'focus-visible', 'active'] as const;

/** All texts under the limit: at rest, with each state on every control, and with every control disabled. */
export async function paleTexts(page: Page): Promise<PaleText[]> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('DOM.enable');
  await devtools.send('CSS.enable');
  const found = await measure(page, 'at rest');
  const { root } = await devtools.send('DOM.getDocument');
  const { nodeIds } = await devtools.send('DOM.querySelectorAll', { nodeId: root.nodeId, selector: 'button, a, summary, input, select, textarea' });
  for (const state of STATES) {
    await force(devtools, nodeIds, [state]);
    found.push(...(await measure(page, state)));
  }
  await force(devtools, nodeIds, []);
  await page.evaluate(() => {
    for (const one of document.querySelectorAll<HTMLButtonElement | HTMLInputElement>('button:enabled, input:enabled')) {
      one.disabled = true;
      one.dataset['enabledBefore'] = '';
    }
  });
  found.push(...(await measure(page, 'disabled')));
  await page.evaluate(() => {
    for (const one of document.querySelectorAll<HTMLButtonElement | HTMLInputElement>('[data-enabled-before]')) {
      one.disabled = false;
      delete one.dataset['enabledBefore'];
    }
  });
  await devtools.detach();
  return found;
}

async function force(devtools: CDPSession, nodeIds: readonly number[], states: readonly string[]): Promise<void> {
  await Promise.all(nodeIds.map((nodeId) => devtools.send('CSS.forcePseudoState', { nodeId, forcedPseudoClasses: [...states] })));
}

async function measure(page: Page, state: string): Promise<PaleText[]> {
  const pale = await page.evaluate((enough) => {
    // We measure a colour after its transition; an element that inherits it may begin its own transition only then, level by level.
    const changing = (): Animation[] => document.getAnimations().filter((one) => one instanceof CSSTransition);
    for (let level = 0, now = changing(); now.length > 0 && level < 30; level++, now = changing()) for (const one of now) one.finish();
    type Colour = readonly [red: number, green: number, blue: number, alpha: number];
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    if (pen === null) throw new Error('no canvas');
    const known = new Map<string, Colour>();
    const colour = (css: string): Colour => {
      const before = known.get(css);
      if (before !== undefined) return before;
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = css;
      pen.fillRect(0, 0, 1, 1);
      const [red = 0, green = 0, blue = 0, alpha = 0] = pen.getImageData(0, 0, 1, 1).data;
      known.set(css, [red, green, blue, alpha / 255]);
      return [red, green, blue, alpha / 255];
    };
    const over = (top: Colour, ground: Colour, opacity = 1): Colour => {
      const alpha = top[3] * opacity;
      const mix = (index: 0 | 1 | 2): number => top[index] * alpha + ground[index] * (1 - alpha);
      return [mix(0), mix(1), mix(2), 1];
    };
    const luminance = ([red, green, blue]: Colour): number => {
      const linear = (value: number): number => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
      return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
    };
    const opacityOf = (element: Element | null): number =>
      element === null ? 1 : Number(getComputedStyle(element).opacity) * opacityOf(element.parentElement);
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const pale: { text: string; where: string; ratio: number }[] = [];
    for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
      const element = node.parentElement;
      const text = node.textContent?.trim() ?? '';
      if (element === null || text === '' || element.closest('.xterm, option, textarea, [hidden]') !== null) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      if (box.width < 2 || box.height < 2 || getComputedStyle(element).visibility !== 'visible') continue;
      // From the top down; what does not take the pointer is under the text's own card all the same.
      const stack = document.elementsFromPoint(box.left + Math.min(box.width / 2, 8), box.top + box.height / 2);
      const at = stack.indexOf(element);
      if (at === -1) continue;
      let ground: Colour = [255, 255, 255, 1];
      for (const under of stack.slice(at).reverse()) ground = over(colour(getComputedStyle(under).backgroundColor), ground, opacityOf(under));
      const ink = over(colour(getComputedStyle(element).color), ground, opacityOf(element));
      const [light, dark] = [luminance(ink), luminance(ground)].sort((one, other) => other - one) as [number, number];
      const ratio = (light + 0.05) / (dark + 0.05);
      if (ratio < enough)
        pale.push({ text: text.slice(0, 60), where: `${element.tagName.toLowerCase()}.${element.className}`, ratio: Math.round(ratio * 100) / 100 });
    }
    return pale;
  }, ENOUGH);
  return pale.map((one) => ({ state, ...one }));
}
