import { disposable, type Disposable } from '../shared/disposable.ts';
import { copyText } from './copy-text.ts';
import { el, listen, setText } from './dom.ts';

/** How long "Copied" stays on the button. */
const SAID_MS = 2_000;

/** A button that copies `text()` and says whether it could. */
export function copyButton(label: string, text: () => string, name: string): { readonly element: HTMLButtonElement } & Disposable {
  const word = el('span', { 'aria-live': 'polite' }, label);
  const element = el('button', { type: 'button', class: 'button quiet copy', title: name, 'aria-label': name }, word);
  let timer: number | undefined;
  const click = listen(element, 'click', () => {
    void copyText(text()).then((copied) => {
      setText(word, copied ? 'Copied' : 'Press Ctrl+C');
      if (!copied) selectBeside(element);
      clearTimeout(timer);
      timer = window.setTimeout(() => setText(word, label), SAID_MS);
    });
  });
  return {
    element,
    ...disposable(() => {
      clearTimeout(timer);
      click.dispose();
    }),
  };
}

/** Selects the text shown beside the button, so that it can be copied by hand. */
function selectBeside(button: HTMLElement): void {
  const shown = button.parentElement?.querySelector('[data-copy]');
  const selection = window.getSelection();
  if (shown === null || shown === undefined || selection === null) return;
  selection.selectAllChildren(shown);
}
