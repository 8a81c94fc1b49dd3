/**
 * The page: draws a Tab's state and calls its verbs; it decides nothing about VMs.
 *
 * Marks for end-to-end tests (kept stable):
 *   [data-testid=host-card][data-host-id]                 a host; its VMs are inside it
 *   [data-testid=vm-chip][data-vm-id][data-state]         a VM on its host's card; a click shows its console.
 *                                                         data-state: a TabMotionVmState, or `ended`
 *   [data-testid=migrate-button]                          moves the VM shown if there is one other host, else opens the choice
 *   [data-testid=migrate-target][data-host-id]            one choice
 *   [data-testid=progress][data-phase]                    a running migration of the VM shown, with
 *   [data-testid=cancel-button]
 *   [data-testid=bring-back]                              on the "Moved to …" panel
 *   [data-testid=headline]                                what the page says in one sentence
 *   [data-testid=migration-log]                           the log
 *   [data-testid=migration-result][data-outcome][data-migration-id]  how the last migration of the VM shown went
 *   [data-testid=console][data-vm-id][data-cols][data-rows]  a VM's terminal; [data-testid=console-tab], [data-testid=screen-tab]
 *   [data-testid=skip-console], [data-testid=console-voice]  the keyboard's way past the console; what a screen reader hears
 *   [data-testid=typed-waiting]                           how much of what was typed has not reached the VM shown
 *   [data-testid=ping-strip][data-vm-id][data-lost][data-answered]  counts of the last minute
 *   [data-testid=invitation][data-address]                the whole invitation
 *   [data-testid=owner-open]                              what the room's owner may do: [data-testid=change-key], [data-testid=close-room],
 *   [data-testid=remove-host] (in [data-host-id])         each with `data-asks`, as forget-button
 *   [data-testid=start-vm], [data-testid=dismiss]         of a VM that ended, or an empty room
 *   [data-testid=ended]                                   VMs that are no more, with [data-testid=dismiss-ended], [data-testid=start-new]
 *   [data-testid=forget-button][data-asks]                of a VM whose tab is away; `data-asks`: the next press does it
 *   [data-testid=start-another]                           another VM in this tab (on its own card)
 *   [data-testid=network]                                 traffic, forwards and capture of the VM shown (a <details>), with
 *   [data-testid=traffic][data-to-guest][data-from-guest][data-dropped]   bytes, bytes, frames
 *   [data-testid=forward-row][data-host-port], [data-testid=forward-form]
 *   [data-testid=capture-start], [data-testid=capture-download], [data-testid=capture-stop]
 *   [data-testid=trouble], [data-testid=notice]           why the page cannot go on; why something asked for was refused
 */
import './tokens.css';
import './page.css';
import './cards.css';
import './panels.css';
import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import type { Tab, VmView } from '../host/scripting-interface.ts';
import { consolePanel } from './console-panel.ts';
import { el, show, type Component } from './dom.ts';
import { header } from './header.ts';
import { endedBanner } from './ended-banner.ts';
import { headline } from './headline.ts';
import { FRESH_MS } from './headline-model.ts';
import { hostCards } from './host-cards.ts';
import { leaveBanner } from './leave-banner.ts';
import { leaveGuard } from './leave-guard.ts';
import { migrationLog } from './migration-log.ts';
import { notice, type Notice } from './notice.ts';
import { pingPanel } from './ping-panel.ts';
import { PingHistories } from './ping-model.ts';
import type { Actions, Scene } from './scene.ts';
import { networkPanel } from './network-panel.ts';
import { nextSelection, NOTHING_SELECTED } from './selection.ts';
import { troublePanel } from './trouble-panel.ts';
import { vmPanel } from './vm-panel.ts';

/** Interval at which ping strips advance and outcomes age; nothing else depends on it. */
const TICK_MS = 250;

/** Draws `tab` into `root` (which is emptied) until the result is disposed; disposing empties `root` again. */
export function mountPage(root: HTMLElement, tab: Tab): Disposable {
  const bag = new DisposableBag();
  const pings = new PingHistories();
  let selection = NOTHING_SELECTED;
  let leaving = false;
  let verify = false;
  let joined = false;
  let open = true;
  const told = bag.add(notice());

  const actions: Actions = {
    ...verbs(tab, told, { verifies: () => verify, select: (vmId) => actions.select(vmId) }),
    select(vmId) {
      selection = { ...selection, vmId };
      draw();
    },
    setVerify(next) {
      verify = next;
    },
    stay() {
      leaving = false;
      draw();
    },
  };

  const { page, stage, components, sentence, hosts, consoles, pinged } = layOut(bag, actions, told);
  root.replaceChildren(page);

  function scene(): Scene {
    const view = tab.view();
    selection = nextSelection(selection, view.vms, consoles.hasFocus());
    return {
      view,
      selfId: tab.host.id,
      selected: view.vms.find((vm) => vm.id === selection.vmId) ?? null,
      leaving,
      verify,
      pings: (vmId) => pings.of(vmId),
      joined,
    };
  }

  function draw(): void {
    if (!open) return;
    const now = scene();
    pings.keep(now.view.vms);
    for (const part of [stage, sentence.element]) show(part, now.view.trouble === null);
    document.title = pageTitle(now.view.vms);
    for (const component of components) component.update(now);
  }

  bag.add({ dispose: tab.onView(draw) });
  // A tab that cannot join says so in its view.
  void whenSettled(tab.ready).then(() => {
    joined = true;
    draw();
  });
  bag.add({ dispose: tab.on('ping', (sample) => pings.of(sample.vmId).add(sample, performance.now())) });
  const runsVms = (): boolean => tab.view().vms.some((vm) => vm.here && !vm.ended);
  const guard = leaveGuard(runsVms, () => {
    leaving = true;
    draw();
  });
  bag.add(guard);
  const timer = window.setInterval(() => {
    const now = scene();
    hosts.tick(now);
    pinged.tick(now);
    if (now.view.reports.some(({ at }) => Date.now() - at < FRESH_MS + 2 * TICK_MS)) sentence.update(now);
  }, TICK_MS);
  bag.add({
    dispose() {
      open = false;
      clearInterval(timer);
      page.remove();
    },
  });
  draw();
  return bag;
}

async function whenSettled(promise: Promise<unknown>): Promise<void> {
  await promise.catch(() => undefined);
}

/** The page's components in their places. */
function layOut(bag: DisposableBag, actions: Actions, told: Notice) {
  const top = bag.add(header(actions));
  const sentence = bag.add(headline());
  const leave = bag.add(leaveBanner(actions));
  const ended = bag.add(endedBanner(actions));
  const trouble = bag.add(troublePanel());
  const hosts = bag.add(hostCards(actions));
  const consoles = bag.add(consolePanel(actions));
  const panel = bag.add(vmPanel(actions));
  const pinged = bag.add(pingPanel());
  const network = bag.add(networkPanel(actions));
  const log = bag.add(migrationLog(actions));
  const stage = el(
    'div',
    { class: 'stage' },
    hosts.element,
    el(
      'div',
      { class: 'work' },
      // Before the console in keyboard order: Shift+Tab leads from the console to "Skip the console".
      el('div', { class: 'side' }, panel.element, pinged.element, network.element, log.element),
      consoles.element,
    ),
  );
  const main = el('main', { class: 'main' }, sentence.element, leave.element, told.element, ended.element, trouble.element, stage);
  const page = el('div', { class: 'page' }, top.element, main);
  const components: readonly Component<Scene>[] = [top, sentence, leave, ended, trouble, hosts, consoles, panel, pinged, network, log];
  return { page, stage, components, sentence, hosts, consoles, pinged };
}

/** Passes requests to the tab; if one fails, the page's notice says why. */
function verbs(
  tab: Tab,
  told: Notice,
  { verifies, select }: { readonly verifies: () => boolean; readonly select: (vmId: string) => void },
): Omit<Actions, 'select' | 'setVerify' | 'stay'> {
  const attempt = (work: () => Promise<unknown>): void => {
    told.clear();
    work().catch((error: unknown) => told.say(error instanceof Error ? error.message : String(error)));
  };
  return {
    tab,
    attempt,
    migrate: (vmId, hostId) => attempt(() => tab.migrate(vmId, hostId, verifies() ? { verify: true } : {})),
    cancel: (vmId) => attempt(() => tab.cancel(vmId)),
    startVm: () =>
      attempt(async () => {
        const vm = await tab.start();
        select(vm.id);
      }),
    dismiss: (vmId) => tab.dismiss(vmId),
    dismissEnded: (vmIds) => attempt(() => tab.dismissEnded(vmIds)),
    forget: (vmId, epoch) => attempt(() => tab.forget(vmId, epoch)),
    addForward: (vmId, guestPort, hostPort) => attempt(() => tab.addForward(vmId, guestPort, hostPort)),
    removeForward: (hostPort) => attempt(() => tab.removeForward(hostPort)),
  };
}

/** Makes the tabs of one browser distinguishable: the dot marks a tab where a PC runs. */
function pageTitle(vms: readonly VmView[]): string {
  const here = vms.filter((vm) => vm.here && !vm.ended).map((vm) => vm.name);
  return here.length === 0 ? 'TabMotion' : `● ${here.join(', ')} – TabMotion`;
}
