import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { el, listen, setText, show } from './dom.ts';

export interface Notice extends Disposable {
  readonly element: HTMLElement;
  say(text: string): void;
  clear(): void;
}

/** One sentence about a request that was refused; stays until it is dismissed or replaced. */
export function notice(): Notice {
  const bag = new DisposableBag();
  const words = el('p', {});
  const close = el('button', { type: 'button', class: 'button quiet', 'aria-label': 'Put this message away' }, 'OK');
  const element = el('div', { class: 'banner bad', role: 'alert', 'data-testid': 'notice' }, words, close);
  element.hidden = true;
  const clear = (): void => {
    show(element, false);
    setText(words, '');
  };
  listen(bag, close, 'click', clear);
  return {
    element,
    say(text) {
      setText(words, text);
      show(element, true);
    },
    clear,
    dispose: () => bag.dispose(),
  };
}
