import { DisposableBag } from '../shared/disposable.ts';
import { copyButton } from './copy-button.ts';
import { el, keyedList, listen, setText, show, type Component } from './dom.ts';
import type { Scene } from './scene.ts';

const SSH_PORT = 22;
const HTTP_PORT = 80;

/** How to reach a TCP port of the guest on the server's machine, as a command where there is an obvious one. */
function reachCommand(forward: { readonly guestPort: number; readonly hostPort: number }): string {
  if (forward.guestPort === HTTP_PORT) return `curl http://localhost:${forward.hostPort}/`;
  if (forward.guestPort === SSH_PORT) return `ssh -p ${forward.hostPort} root@localhost`;
  return `localhost:${forward.hostPort}`;
}

/** The forwards of the VM shown as commands to copy, and its password on request. */
export function reach(): Component<Scene> {
  const bag = new DisposableBag();
  const commands = el('div', { class: 'commands' });
  const rows = keyedList<{ readonly guestPort: number; readonly hostPort: number }>(
    commands,
    (forward) => `${forward.guestPort} ${forward.hostPort}`,
    commandRow,
  );
  let password = '';
  let shownFor: string | null = null;
  const secret = el('code', { 'data-copy': true });
  const toggle = el('button', { type: 'button', class: 'button quiet' });
  const copy = bag.add(copyButton(null, () => password, 'Copy the password'));
  const passwordRow = el('div', { class: 'command' }, el('span', {}, 'Password'), secret, toggle, copy.element);
  const element = el(
    'section',
    { class: 'reach', 'aria-label': 'Reach the PC over the network' },
    el('h3', { title: 'These commands work on the machine on which the server runs.' }, 'On the server:'),
    commands,
    passwordRow,
  );
  let vmId: string | null = null;

  function drawPassword(): void {
    const shown = shownFor !== null && shownFor === vmId;
    setText(secret, shown ? password : '');
    show(secret, shown);
    setText(toggle, shown ? 'Hide' : 'Show');
  }
  listen(bag, toggle, 'click', () => {
    shownFor = shownFor === vmId ? null : vmId;
    drawPassword();
  });

  return {
    element,
    update({ selected }) {
      const forwards = selected?.ended === false ? selected.forwards : [];
      show(element, forwards.length > 0);
      rows.update(forwards);
      vmId = selected?.id ?? null;
      password = selected?.password ?? '';
      show(passwordRow, password !== '');
      drawPassword();
    },
    dispose() {
      rows.dispose();
      bag.dispose();
    },
  };
}

function commandRow(forward: { readonly guestPort: number; readonly hostPort: number }): Component<unknown> {
  const command = reachCommand(forward);
  const copy = copyButton(null, () => command, `Copy: ${command}`);
  return {
    element: el('div', { class: 'command' }, el('code', { 'data-copy': true, title: `Port ${forward.guestPort} of the guest` }, command), copy.element),
    update() {
      /* a forward never changes in place: its ports are its key */
    },
    dispose: () => copy.dispose(),
  };
}
