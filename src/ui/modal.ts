import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { listen } from './dom.ts';

/** A dialog over the page: `open` shows it; `close` or a click outside hides it. `opens` is called just before it is shown. */
export function modal(dialog: HTMLDialogElement, open: HTMLElement, close: HTMLElement, opens: () => void = () => undefined): Disposable {
  const bag = new DisposableBag();
  listen(bag, open, 'click', () => {
    opens();
    dialog.showModal();
  });
  listen(bag, close, 'click', () => dialog.close());
  // A click on the backdrop is a click on the dialog itself, outside its content.
  listen(bag, dialog, 'click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  return bag;
}
