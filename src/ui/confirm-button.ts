import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { el, listen, setAttribute, setText } from './dom.ts';

export interface ConfirmButtonOptions {
  readonly label: string;
  /** The question that the second press answers. */
  readonly question: string;
  readonly testId: string;
  /** What the second press does. */
  readonly act: () => void;
  /** False: a press does nothing now. */
  readonly ready?: () => boolean;
}

/** A button for what cannot be undone: the first press only asks. */
export function confirmButton({
  label,
  question,
  testId,
  act,
  ready = () => true,
}: ConfirmButtonOptions): { readonly element: HTMLButtonElement; reset(): void } & Disposable {
  const bag = new DisposableBag();
  const element = el('button', { type: 'button', class: 'button quiet confirm', 'data-testid': testId, 'aria-live': 'polite' });
  let asks = false;

  function ask(next: boolean): void {
    asks = next;
    setAttribute(element, 'data-asks', asks);
    setText(element, asks ? question : label);
  }
  ask(false);

  listen(bag, element, 'click', (event) => {
    // The second half of a double click does not count as an answer.
    if (!ready() || event.detail > 1) return;
    if (asks) act();
    ask(!asks);
  });
  listen(bag, element, 'blur', () => ask(false));
  listen(bag, element, 'keydown', (event) => {
    if (event.key !== 'Escape' || !asks) return;
    // A dialog around it stays open.
    event.preventDefault();
    ask(false);
  });
  return { element, reset: () => ask(false), dispose: () => bag.dispose() };
}
