import { DisposableBag } from '../shared/disposable.ts';
import { disposable, type Disposable } from '../shared/disposable.ts';
import { copyText } from './copy-text.ts';
import { el, listen, setText, svg } from './dom.ts';

/** How long "Copied" stays on the button. */
const SAID_MS = 2_000;

/**
 * A button that copies `text()` and says whether it could. `label` null draws a small picture instead of a word;
 * `name` says in full what is copied.
 */
export function copyButton(label: string | null, text: () => string, name: string): { readonly element: HTMLButtonElement } & Disposable {
  const word = el('span', { 'aria-live': 'polite' }, label);
  const picture = label === null ? copyPicture() : null;
  const element = el('button', { type: 'button', class: label === null ? 'button quiet icon' : 'button quiet copy', title: name, 'aria-label': name });
  element.append(...(picture === null ? [word] : [picture, word]));
  let timer: number | undefined;
  const say = (said: string): void => {
    setText(word, said);
    picture?.toggleAttribute('hidden', said !== '');
  };
  const bag = new DisposableBag();
  listen(bag, element, 'click', () => {
    void copyText(text()).then((copied) => {
      say(copied ? (label === null ? '✓' : 'Copied') : 'Press Ctrl+C');
      if (!copied) selectBeside(element);
      clearTimeout(timer);
      timer = window.setTimeout(() => say(label ?? ''), SAID_MS);
    });
  });
  return {
    element,
    ...disposable(() => {
      clearTimeout(timer);
      bag.dispose();
    }),
  };
}

/** Two sheets, one over the other. */
function copyPicture(): SVGSVGElement {
  return svg(
    'svg',
    { viewBox: '0 0 16 16', class: 'copy-picture', 'aria-hidden': 'true' },
    svg('rect', { x: '2.5', y: '2.5', width: '8', height: '8', rx: '1.5' }),
    svg('path', { d: 'M5.5 13.5h6a2 2 0 0 0 2-2v-6' }),
  );
}

/** Selects the text shown beside the button, so that it can be copied by hand. */
function selectBeside(button: HTMLElement): void {
  const shown = button.parentElement?.querySelector('[data-copy]');
  const selection = window.getSelection();
  if (shown === null || shown === undefined || selection === null) return;
  selection.selectAllChildren(shown);
}
