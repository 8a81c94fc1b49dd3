import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { copyButton } from './copy-button.ts';
import { el, listen, setAttribute, setText, show } from './dom.ts';
import { loopbackAdvice, type Invitation } from './invitation.ts';
import { isPlainClick } from './plain-click.ts';
import { qrCode } from './qr-code.ts';

/** Takes the place of the second host: says how to get one. */
export function inviteCard(): { readonly element: HTMLElement; update(shown: Invitation): void } & Disposable {
  const bag = new DisposableBag();
  let address = '';
  let pictured = '';
  let openedHere = '';
  const link = el('a', { class: 'address', target: '_blank', rel: 'noopener', 'data-copy': true });
  // A click opens the room on this computer, where this page's address is the better one: it is a secure context.
  listen(bag, link, 'click', (event) => {
    if (!isPlainClick(event)) return;
    event.preventDefault();
    window.open(openedHere, '_blank', 'noopener');
  });
  const copy = bag.add(copyButton('Copy', () => address, 'Copy the invitation'));
  const picture = el('div', { class: 'invite-qr' });
  const title = el('h2', { class: 'host-name' });
  const advice = loopbackAdvice();
  const element = el(
    'article',
    { class: 'host-card invite-card' },
    picture,
    el('div', { class: 'invite-words' }, title, el('div', { class: 'row' }, link, copy.element), advice),
  );
  return {
    element,
    update(next) {
      setText(title, next.othersCanJoin ? 'Open this address in a second tab or on another computer' : 'Open this address in a second tab or another browser');
      show(picture, next.othersCanJoin);
      show(advice, !next.othersCanJoin);
      openedHere = next.address;
      if (next.othersCanJoin && pictured !== next.invitation) {
        pictured = next.invitation;
        picture.replaceChildren(qrCode(pictured));
      }
      if (next.invitation === address) return;
      address = next.invitation;
      // The browser's menu copies the href, so it is the address that is shown.
      setAttribute(link, 'href', address);
      setText(link, address);
    },
    dispose: () => bag.dispose(),
  };
}
