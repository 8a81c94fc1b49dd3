import { DisposableBag } from '../shared/disposable.ts';
import type { TabMotionHost, VmView } from '../host/scripting-interface.ts';
import { land, takeOff } from './chip-flight.ts';
import { el, keyedList, listen, placeChildren, setAttribute, setText, show, type Component } from './dom.ts';
import { hostGrid } from './host-grid.ts';
import { inviteCard } from './invite-card.ts';
import { progressFraction } from './progress-model.ts';
import { type Actions, type Scene } from './scene.ts';
import { stream, type Stream } from './stream.ts';
import { VM_MIME, vmChip } from './vm-chip.ts';
import { linkWord, STILL_LOADING } from './words.ts';

/** The page is one column below this (the style sheets' media query). */
const NARROW = '(max-width: 899px)';

interface HostRow {
  readonly host: TabMotionHost;
  /** It holds a VM but is not in the room at the moment. */
  readonly away: boolean;
  readonly chips: readonly HTMLElement[];
  /** How far each VM on its way here has come. */
  readonly arriving: readonly { readonly id: string; readonly name: string; readonly fraction: number | null }[];
  readonly scene: Scene;
}

/** The hosts of the room side by side, each with its VMs; a VM's move is visible. */
export function hostCards(actions: Actions): Component<Scene> & { tick(scene: Scene): void } {
  const list = el('div', { class: 'host-list' });
  const invite = inviteCard();
  const element = el('section', { class: 'hosts', 'aria-label': 'Hosts in this room' }, list);
  const chips = new Map<string, ReturnType<typeof vmChip>>();
  const cards = el('div', { class: 'host-cards' });
  const streams = migrationStreams(element, (vmId) => chips.get(vmId)?.element ?? null);
  list.append(cards, invite.element);
  const rows = keyedList<HostRow>(
    cards,
    (row) => row.host.id,
    (row) => hostCard(row.host.id, actions),
  );

  function chipOf(vm: VmView): ReturnType<typeof vmChip> {
    const known = chips.get(vm.id);
    if (known !== undefined) return known;
    const made = vmChip(vm.id, actions);
    chips.set(vm.id, made);
    return made;
  }

  let count = 0;
  function fit(): void {
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    const room = { width: cards.clientWidth / rem, height: window.innerHeight / rem, narrow: window.matchMedia(NARROW).matches };
    const { size, columns } = hostGrid(count, room);
    setAttribute(cards, 'data-size', size);
    cards.style.setProperty('--columns', String(columns));
  }
  window.addEventListener('resize', fit);

  return {
    element,
    update(scene) {
      const { view } = scene;
      removeGone(chips, view.vms);
      const flights = view.vms.map((vm) => {
        const chip = chipOf(vm);
        const before = chip.element.closest('[data-host-id]')?.getAttribute('data-host-id') ?? null;
        return { chip, vm, from: before === null || before === cardOf(vm, scene) ? null : takeOff(chip.element) };
      });
      const focused = document.activeElement;
      for (const { chip, vm } of flights) chip.update({ vm, scene });
      const hosts = allHosts(scene);
      rows.update(
        hosts.map(({ host, away }) => ({
          host,
          away,
          chips: view.vms.filter((vm) => cardOf(vm, scene) === host.id).map((vm) => chipOf(vm).element),
          arriving: arrivingAt(host.id, scene),
          scene,
        })),
      );
      count = hosts.length;
      fit();
      show(invite.element, view.hosts.length <= 1 && view.invitation !== '');
      // Until the other hosts are known, the invitation's place stays empty, so that nothing jumps.
      setAttribute(invite.element, 'data-pending', !scene.joined);
      invite.update(view);
      for (const { chip, from } of flights) if (from !== null) land(chip.element, from);
      streams.draw(scene);
      // An element that is moved to another card loses the focus.
      if (focused instanceof HTMLElement && focused !== document.activeElement && element.contains(focused)) focused.focus({ preventScroll: true });
    },
    tick(scene) {
      for (const chip of chips.values()) chip.tick(scene);
    },
    dispose() {
      window.removeEventListener('resize', fit);
      rows.dispose();
      invite.dispose();
      for (const chip of chips.values()) chip.dispose();
    },
  };
}

function removeGone(chips: Map<string, ReturnType<typeof vmChip>>, vms: readonly VmView[]): void {
  const present = new Set(vms.map((vm) => vm.id));
  for (const [id, chip] of chips) {
    if (present.has(id)) continue;
    chip.element.remove();
    chip.dispose();
    chips.delete(id);
  }
}

/** The VMs on their way to this host. */
function arrivingAt(hostId: string, { view }: Scene): HostRow['arriving'] {
  return view.migrations
    .filter((migration) => migration.to === hostId && view.vms.some((vm) => vm.id === migration.vmId && vm.hostId !== hostId))
    .map((migration) => ({ id: migration.vmId, name: view.vms.find((vm) => vm.id === migration.vmId)?.name ?? '', fraction: progressFraction(migration) }));
}

/** One stream of dots for each migration, from the VM's chip to the place kept for it. */
function migrationStreams(element: HTMLElement, chipOf: (vmId: string) => HTMLElement | null): { draw(scene: Scene): void } {
  const streams = new Map<string, Stream>();
  return {
    draw({ view }) {
      const running = view.migrations.map((migration) => migration.vmId as string);
      for (const [id, one] of streams) {
        if (running.includes(id)) continue;
        one.element.remove();
        streams.delete(id);
      }
      for (const id of running) {
        const one = streams.get(id) ?? stream();
        if (!streams.has(id)) {
          streams.set(id, one);
          element.append(one.element);
        }
        one.place(element, chipOf(id), element.querySelector<HTMLElement>(`[data-arrival="${CSS.escape(id)}"]`));
      }
    },
  };
}

/** The one card for all hosts that hold a VM but are not in the room. */
const AWAY = 'away';

/** The id of the card the VM stands on. */
function cardOf(vm: VmView, { view }: Scene): string {
  return view.hosts.some((host) => host.id === vm.hostId) ? vm.hostId : AWAY;
}

/** This tab first, the others in the room's order, then those that are away but hold a VM. */
function allHosts(scene: Scene): { readonly host: TabMotionHost; readonly away: boolean }[] {
  const { hosts, vms } = scene.view;
  const self = hosts.filter((host) => host.id === scene.selfId);
  const others = hosts.filter((host) => host.id !== scene.selfId);
  const missing = vms.some((vm) => cardOf(vm, scene) === AWAY);
  return [
    ...[...self, ...others].map((host) => ({ host, away: false })),
    ...(missing ? [{ host: { id: AWAY, name: 'Tabs that are away', self: false, ready: true, vms: 0 }, away: true }] : []),
  ];
}

function hostCard(hostId: string, actions: Actions): Component<HostRow> {
  const bag = new DisposableBag();
  const name = el('h2', { class: 'host-name' });
  const note = el('span', { class: 'host-note' });
  const slots = el('div', { class: 'host-vms' });
  const empty = el('p', { class: 'host-empty' });
  const another = el(
    'button',
    {
      type: 'button',
      class: 'button quiet another',
      'data-testid': 'start-another',
      title: 'Start another PC in this tab',
      'aria-label': 'Start another PC in this tab',
    },
    '+ PC',
  );
  listen(bag, another, 'click', () => actions.startVm());
  const element = el(
    'article',
    { class: 'host-card', 'data-testid': 'host-card', 'data-host-id': hostId },
    el('div', { class: 'host-head' }, name, note, another),
    slots,
  );
  const arrivals = new Map<string, ReturnType<typeof arrivalSlot>>();

  listen(bag, element, 'dragover', (event) => {
    if (event.dataTransfer?.types.includes(VM_MIME) !== true) return;
    event.preventDefault();
    setAttribute(element, 'data-drop', true);
  });
  listen(bag, element, 'dragleave', (event) => {
    if (!(event.relatedTarget instanceof Node && element.contains(event.relatedTarget))) setAttribute(element, 'data-drop', false);
  });
  listen(bag, element, 'drop', (event) => {
    setAttribute(element, 'data-drop', false);
    const vmId = event.dataTransfer?.getData(VM_MIME) ?? '';
    if (vmId === '' || slots.querySelector(`[data-vm-id="${CSS.escape(vmId)}"]`) !== null) return;
    event.preventDefault();
    actions.migrate(vmId, hostId);
  });

  function arrivalOf(id: string): ReturnType<typeof arrivalSlot> {
    const known = arrivals.get(id);
    if (known !== undefined) return known;
    const made = arrivalSlot(id);
    arrivals.set(id, made);
    return made;
  }

  return {
    element,
    update({ host, away, chips, arriving, scene }) {
      setText(name, host.self ? 'This tab' : host.name);
      setAttribute(name, 'title', host.name);
      const link = scene.view.links[host.id];
      setText(note, away ? '' : host.self ? host.name : !host.ready ? STILL_LOADING : link === undefined ? '' : linkWord(link));
      show(another, host.self && scene.view.starting === null && scene.view.vms.length > 0);
      setAttribute(element, 'data-self', host.self);
      setAttribute(element, 'data-away', away);
      for (const id of arrivals.keys()) if (!arriving.some((one) => one.id === id)) arrivals.delete(id);
      const coming = arriving.map(({ id, name: vmName, fraction }) => {
        const arrival = arrivalOf(id);
        arrival.update(vmName, fraction);
        return arrival.slot;
      });
      setText(empty, scene.view.starting !== null && host.self ? 'getting ready …' : 'ready for a PC');
      placeChildren(slots, chips.length + coming.length === 0 ? [empty] : [...chips, ...coming]);
    },
    dispose: () => bag.dispose(),
  };
}

/** The placeholder for a VM on its way; it fills as the VM's pages arrive. */
function arrivalSlot(vmId: string): { readonly slot: HTMLElement; update(vmName: string, fraction: number | null): void } {
  const fill = el('span', { class: 'arrival-fill' });
  const word = el('span', { class: 'arrival-word' });
  const slot = el('div', { class: 'arrival', 'aria-hidden': 'true', 'data-arrival': vmId }, fill, word);
  return {
    slot,
    update(vmName, fraction) {
      setText(word, `${vmName} is arriving`);
      setAttribute(slot, 'data-waiting', fraction === null);
      fill.style.transform = `scaleX(${fraction ?? 0})`;
    },
  };
}
