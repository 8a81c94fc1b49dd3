import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { copyButton } from './copy-button.ts';
import { el, setAttribute, setText } from './dom.ts';
import { qrCode } from './qr-code.ts';

/** Stands where the second host will be: says how to get one. `update` takes the invitation's address. */
export function inviteCard(): { readonly element: HTMLElement; update(address: string): void } & Disposable {
  const bag = new DisposableBag();
  let address = '';
  const link = el('a', { class: 'address', target: '_blank', rel: 'noopener', 'data-copy': true });
  const copy = bag.add(copyButton('Copy', () => address, 'Copy the invitation'));
  const picture = el('div', { class: 'invite-qr' });
  const element = el('article', { class: 'host-card invite-card' },
    picture,
    el('div', { class: 'invite-words' },
      el('h2', { class: 'host-name' }, 'Open this address in a second tab or on another computer'),
      el('div', { class: 'row' }, link, copy.element)));
  return {
    element,
    update(next) {
      if (next === address) return;
      address = next;
      setText(link, next);
      setAttribute(link, 'href', next);
      picture.replaceChildren(qrCode(next));
    },
    dispose: () => bag.dispose(),
  };
}
