import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import type { TabView } from '../host/scripting-interface.ts';
import { copyButton } from './copy-button.ts';
import { el, listen, setText, show } from './dom.ts';
import { modal } from './modal.ts';
import { qrCode } from './qr-code.ts';

/** The parts of the view that show the room's address. */
export type Invitation = Pick<TabView, 'invitation' | 'address' | 'othersCanJoin'>;

/** How to let other computers in, where the server listens on its own only. */
export function loopbackAdvice(): HTMLElement {
  return el(
    'p',
    { class: 'quiet-words' },
    'Other computers cannot open it: the server listens on this one only. To invite them, start it with ',
    el('code', {}, 'npm start -- --host 0.0.0.0'),
    '.',
  );
}

/**
 * The room's address with its key: a copy button, and a QR code large enough to be read from the back row, if another
 * device could open it.
 */
export function invitation(): { readonly element: HTMLElement; update(shown: Invitation): void } & Disposable {
  const bag = new DisposableBag();
  let address = '';
  let pictured = '';
  const copy = bag.add(copyButton('Copy invitation', () => address, 'Copy the invitation: the address of this room with its key'));
  const open = el('button', { type: 'button', class: 'button quiet', 'aria-haspopup': 'dialog' });
  const shown = el('p', { class: 'address', 'data-copy': true });
  const picture = el('div', { class: 'qr-large' });
  const copyLarge = bag.add(copyButton('Copy', () => address, 'Copy the invitation'));
  const close = el('button', { type: 'button', class: 'button' }, 'Close');
  const title = el('h2', {});
  const advice = loopbackAdvice();
  const dialog = el(
    'dialog',
    { class: 'dialog', 'aria-label': 'Invitation to this room' },
    title,
    picture,
    shown,
    advice,
    el('div', { class: 'row' }, copyLarge.element, close),
  );
  const element = el('div', { class: 'invitation', 'data-testid': 'invitation' }, copy.element, open, dialog);
  // Drawn when somebody wants to see it: it takes as long as the rest of the page.
  const draw = (): void => {
    if (pictured !== address) picture.replaceChildren(qrCode(address));
    pictured = address;
  };
  listen(bag, open, 'click', draw);
  bag.add(modal(dialog, open, close));
  return {
    element,
    update(next) {
      setText(open, next.othersCanJoin ? 'QR code' : 'Invite …');
      setText(title, next.othersCanJoin ? 'Open this address on another computer' : 'Open this address in another tab or browser of this computer');
      show(picture, next.othersCanJoin);
      show(advice, !next.othersCanJoin);
      if (next.invitation === address) return;
      address = next.invitation;
      element.dataset['address'] = address;
      setText(shown, address);
      if (dialog.open) draw();
    },
    dispose: () => bag.dispose(),
  };
}
