import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { copyButton } from './copy-button.ts';
import { el, listen, setText } from './dom.ts';
import { qrCode } from './qr-code.ts';

/**
 * The room's address with its key: a copy button, and a QR code large enough to be read from the back row.
 * `update` takes the address.
 */
export function invitation(): { readonly element: HTMLElement; update(address: string): void } & Disposable {
  const bag = new DisposableBag();
  let address = '';
  const copy = bag.add(copyButton('Copy invitation', () => address, 'Copy the invitation: the address of this room with its key'));
  const open = el('button', { type: 'button', class: 'button quiet', 'aria-haspopup': 'dialog' }, 'QR code');
  const shown = el('p', { class: 'address', 'data-copy': true });
  const picture = el('div', { class: 'qr-large' });
  const copyLarge = bag.add(copyButton('Copy', () => address, 'Copy the invitation'));
  const close = el('button', { type: 'button', class: 'button' }, 'Close');
  const dialog = el('dialog', { class: 'dialog', 'aria-label': 'Invitation to this room' },
    el('h2', {}, 'Open this address on another computer'),
    picture,
    shown,
    el('div', { class: 'row' }, copyLarge.element, close));
  const element = el('div', { class: 'invitation', 'data-testid': 'invitation' }, copy.element, open, dialog);
  bag.add(listen(open, 'click', () => dialog.showModal()));
  bag.add(listen(close, 'click', () => dialog.close()));
  // A click on the backdrop is a click on the dialog itself, outside its content.
  bag.add(listen(dialog, 'click', (event) => {
    if (event.target === dialog) dialog.close();
  }));
  return {
    element,
    update(next) {
      if (next === address) return;
      address = next;
      element.dataset['address'] = next;
      setText(shown, next);
      picture.replaceChildren(qrCode(next));
    },
    dispose: () => bag.dispose(),
  };
}
