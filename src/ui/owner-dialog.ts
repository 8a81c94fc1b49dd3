import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import type { TabMotionHost, TabView } from '../host/scripting-interface.ts';
import { confirmButton } from './confirm-button.ts';
import { copyButton } from './copy-button.ts';
import { el, keyedList, setText, show, type Component } from './dom.ts';
import { modal } from './modal.ts';
import type { Actions } from './scene.ts';

/** The parts of the view that the owner's dialog shows. */
export type OwnedRoom = Pick<TabView, 'owner' | 'hosts' | 'room'>;

/** What the owner of the room may do with it: a button, and the dialog behind it. */
export function ownerDialog(actions: Actions): Component<OwnedRoom> {
  const bag = new DisposableBag();
  let address = '';
  const open = el('button', { type: 'button', class: 'button quiet', 'data-testid': 'owner-open', 'aria-haspopup': 'dialog' }, 'Your room …');
  const title = el('h2', {});
  const close = el('button', { type: 'button', class: 'button' }, 'Done');
  const change = bag.add(
    confirmButton({
      label: 'Change the key',
      question: 'Change it?',
      testId: 'change-key',
      act: () => act(() => actions.tab.changeKey()),
    }),
  );
  const end = bag.add(
    confirmButton({
      label: 'Close the room',
      question: 'Close it?',
      testId: 'close-room',
      act: () => act(() => actions.tab.closeRoom()),
    }),
  );
  const copy = bag.add(copyButton('Copy', () => address, "Copy the owner's address of this room"));
  const list = el('div', { class: 'owner-hosts' });
  const nobody = el('p', { class: 'quiet-words' }, 'Nobody else is here.');
  const hosts = bag.add(
    keyedList<TabMotionHost>(
      list,
      (host) => host.id,
      (host) => hostRow(host.id, () => act(() => actions.tab.removeHost(host.id))),
    ),
  );
  const said = el('p', { class: 'owner-said', role: 'status' });
  const dialog = el(
    'dialog',
    { class: 'dialog owner', 'aria-label': 'Your room' },
    title,
    right('New key', 'Whoever is here stays. Whoever comes needs the new invitation.', change.element),
    right('Remove a tab', 'Its PCs end, and the room gets a new key.', null, nobody, list),
    right('Close', 'All PCs end, and everybody is out.', end.element),
    right('Owner on another device', 'Whoever opens this address can do all of this too.', copy.element),
    said,
    close,
  );
  const element = el('div', { class: 'owner-room' }, open, dialog);
  bag.add(modal(dialog, open, close, () => setText(said, '')));

  /** The page's notice lies under the dialog. */
  function act(work: () => Promise<void>): void {
    setText(said, '');
    work().catch((error: unknown) => setText(said, error instanceof Error ? error.message : String(error)));
  }

  return {
    element,
    update(room) {
      show(element, room.owner !== null);
      address = room.owner?.address ?? '';
      setText(title, `Room ${room.room} is yours`);
      const others = room.hosts.filter((host) => !host.self);
      show(nobody, others.length === 0);
      hosts.update(others);
    },
    dispose: () => bag.dispose(),
  };
}

function right(title: string, words: string, button: HTMLElement | null, ...more: readonly HTMLElement[]): HTMLElement {
  return el(
    'section',
    { class: 'owner-right' },
    el('div', { class: 'owner-words' }, el('h3', {}, title), el('p', { class: 'quiet-words' }, words)),
    button,
    ...more,
  );
}

function hostRow(hostId: string, remove: () => void): Component<TabMotionHost> & Disposable {
  const name = el('span', { class: 'owner-host' });
  const button = confirmButton({ label: 'Remove', question: 'Remove it?', testId: 'remove-host', act: remove });
  const element = el('div', { class: 'row', 'data-host-id': hostId }, name, button.element);
  return {
    element,
    update(host) {
      setText(name, host.vms === 0 ? host.name : `${host.name} (${host.vms} ${host.vms === 1 ? 'PC' : 'PCs'})`);
    },
    dispose: () => button.dispose(),
  };
}
