import { DisposableBag } from '../shared/disposable.ts';
import type { TabMotionHost, VmView } from '../host/scripting-interface.ts';
import { el, keyedList, listen, setAttribute, setText, show, type Component } from './dom.ts';
import { migrationOf, movable, targetsOf, type Actions, type Scene } from './scene.ts';
import { linkWord, STILL_LOADING } from './words.ts';

interface TargetRow {
  readonly host: TabMotionHost;
  readonly vm: VmView;
  readonly scene: Scene;
}

/** Migrate: one click when there is one place to go, otherwise a choice of targets. */
export function migrateControl(actions: Actions): Component<Scene> {
  const bag = new DisposableBag();
  const label = el('span', {});
  const button = el('button', { type: 'button', class: 'button primary', 'data-testid': 'migrate-button' }, label);
  const list = el('div', { class: 'targets', role: 'group', 'aria-label': 'Where to' });
  const why = el('p', { class: 'quiet-words' });
  const verify = el('input', { type: 'checkbox' });
  const verifyRow = el(
    'label',
    { class: 'check', title: 'Both sides hash every page while the PC stands still; the pause gets longer.' },
    verify,
    'Compare every page at the end',
  );
  const element = el('div', { class: 'migrate' }, button, list, why, verifyRow);
  const rows = keyedList<TargetRow>(
    list,
    (row) => row.host.id,
    (row) => targetButton(row.host.id, actions, () => setOpen(false)),
  );
  let open = false;
  let last: Scene | null = null;

  function setOpen(next: boolean): void {
    open = next;
    if (last !== null) update(last);
  }

  function update(scene: Scene): void {
    last = scene;
    const vm = scene.selected;
    show(element, vm !== null && migrationOf(scene.view, vm.id) === null && !vm.ended);
    if (vm === null) return;
    const targets = targetsOf(scene.view, vm);
    const can = movable(vm);
    const only = targets.length === 1 ? targets[0] : undefined;
    if (targets.length <= 1) open = false;
    setText(label, only === undefined ? (targets.length === 0 ? 'Migrate' : 'Migrate …') : only.self ? 'Migrate to this tab' : `Migrate to ${only.name}`);
    button.disabled = targets.length === 0 || !can.ok;
    setAttribute(button, 'aria-expanded', targets.length > 1 ? String(open) : null);
    show(list, open && can.ok);
    rows.update(targets.map((host) => ({ host, vm, scene })));
    setText(why, !can.ok ? can.why : targets.length === 0 ? 'To move, it needs a second tab: open the invitation there.' : '');
    show(why, why.textContent !== '');
    show(verifyRow, targets.length > 0 && can.ok);
    verify.checked = scene.verify;
  }

  listen(bag, button, 'click', () => {
    const vm = last?.selected;
    if (last === null || vm === null || vm === undefined) return;
    const targets = targetsOf(last.view, vm);
    const only = targets[0];
    if (targets.length === 1 && only !== undefined) {
      actions.migrate(vm.id, only.id);
      return;
    }
    setOpen(!open);
    if (open) list.querySelector('button')?.focus();
  });
  listen(bag, element, 'keydown', (event) => {
    if (event.key !== 'Escape' || !open) return;
    setOpen(false);
    button.focus();
  });
  listen(bag, verify, 'change', () => actions.setVerify(verify.checked));

  return {
    element,
    update,
    dispose() {
      rows.dispose();
      bag.dispose();
    },
  };
}

function targetButton(hostId: string, actions: Actions, chosen: () => void): Component<TargetRow> {
  const name = el('span', { class: 'target-name' });
  const note = el('span', { class: 'target-note' });
  const element = el('button', { type: 'button', class: 'button target', 'data-testid': 'migrate-target', 'data-host-id': hostId }, name, note);
  let vmId = '';
  const bag = new DisposableBag();
  listen(bag, element, 'click', () => {
    chosen();
    actions.migrate(vmId, hostId);
  });
  return {
    element,
    update({ host, vm, scene }) {
      vmId = vm.id;
      setText(name, host.self ? 'This tab' : host.name);
      const link = scene.view.links[host.id];
      setText(note, host.self ? host.name : !host.ready ? STILL_LOADING : link === undefined ? '' : linkWord(link));
    },
    dispose: () => bag.dispose(),
  };
}
