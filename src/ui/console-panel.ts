import { DisposableBag } from '../shared/disposable.ts';
import type { TerminalConsole, VmView } from '../host/scripting-interface.ts';
import { consoleOverlay } from './console-overlay.ts';
import { consoleVoice } from './console-voice.ts';
import { el, listen, setAttribute, setText, show, type Component } from './dom.ts';
import { keyBar } from './key-bar.ts';
import { reach } from './reach.ts';
import { hostName, migrationOf, type Actions, type Scene } from './scene.ts';
import { vmScreen, type VmScreen } from './screen.ts';
import { consoleTerminal, type ConsoleTerminal } from './terminal.ts';
import { attemptToType } from './typing.ts';
import { hueOf } from './vm-chip.ts';
import { typedWaitingText } from './words.ts';

/** A window that is being dragged larger is followed in these steps. */
const RESIZE_PAUSE_MS = 100;

type Mode = 'console' | 'screen';

export interface ConsolePanel extends Component<Scene> {
  /** The console shown is where somebody types. */
  hasFocus(): boolean;
}

/** The console of the VM shown, large; its VGA screen beside it as a second tab when the VM runs here. */
export function consolePanel(actions: Actions): ConsolePanel {
  const bag = new DisposableBag();
  const terminals = new Map<string, ConsoleTerminal>();
  /** Opened once for each VM. */
  const opened = new Map<string, TerminalConsole>();
  let screen: { readonly vmId: string; readonly screen: VmScreen } | null = null;
  let mode: Mode = 'console';
  let last: Scene | null = null;
  /** A VM that starts here, until it is ready. */
  let starting: string | null = null;

  const refused = (error: Error): void => actions.attempt(() => Promise.reject(error));
  const title = el('h2', { class: 'console-title' });
  const where = el('span', { class: 'console-where' });
  const consoleTab = el('button', { type: 'button', class: 'tab', 'data-testid': 'console-tab' }, 'Console');
  const screenTab = el('button', { type: 'button', class: 'tab', 'data-testid': 'screen-tab' }, 'Screen');
  const tabs = el('div', { class: 'tabs', role: 'group', 'aria-label': 'Show' }, consoleTab, screenTab);
  const waiting = el('p', { class: 'waiting' });
  // Always there: a screen reader hears only of what changes in a region it knows.
  const typedWaiting = el('span', { class: 'typed-waiting', role: 'status', 'data-testid': 'typed-waiting' });
  const overlay = bag.add(consoleOverlay(actions));
  const keys = bag.add(keyBar(({ text, code, control }) => {
    const vm = last?.selected;
    if (screen !== null) screen.screen.tap(code, control);
    else if (vm !== null && vm !== undefined) {
      const shown = consoleOf(vm.id);
      shown.used();
      attemptToType(() => shown.write(text), refused);
    }
  }));
  const reaching = bag.add(reach());
  const body = el('div', { class: 'console-body' }, overlay.element);
  // Tab belongs to the guest: a keyboard's way past the console, and what a screen reader hears of it.
  const after = el('span', { tabindex: '-1' });
  const skip = el('button', { type: 'button', class: 'skip', 'data-testid': 'skip-console' }, 'Skip the console');
  bag.add(listen(skip, 'click', () => after.focus()));
  const voice = bag.add(consoleVoice());
  const element = el('section', { class: 'console-panel', 'aria-label': 'Console' },
    el('div', { class: 'console-head' }, title, where, typedWaiting, tabs), waiting, skip, body, after, voice.element, keys.element, reaching.element);

  let fitting: ReturnType<typeof setTimeout> | null = null;
  // The guest redraws its screen for each new size.
  const observer = new ResizeObserver(() => {
    fitting ??= setTimeout(() => {
      fitting = null;
      shownTerminal()?.fit();
    }, RESIZE_PAUSE_MS);
  });
  observer.observe(body);
  bag.add({
    dispose() {
      observer.disconnect();
      if (fitting !== null) clearTimeout(fitting);
    },
  });

  function consoleOf(vmId: string): TerminalConsole {
    const console = opened.get(vmId) ?? actions.tab.console(vmId);
    opened.set(vmId, console);
    return console;
  }

  function shownTerminal(): ConsoleTerminal | undefined {
    const vm = last?.selected;
    return vm === null || vm === undefined || mode !== 'console' ? undefined : terminals.get(vm.id);
  }

  function setMode(next: Mode): void {
    mode = next;
    if (last !== null) update(last);
    if (mode === 'screen') screen?.screen.focus();
    else shownTerminal()?.focus();
  }
  bag.add(listen(consoleTab, 'click', () => setMode('console')));
  bag.add(listen(screenTab, 'click', () => setMode('screen')));

  function drawTerminals(vms: readonly VmView[], selected: VmView | null): void {
    const known = new Set(vms.map((vm) => vm.id));
    for (const id of opened.keys()) if (!known.has(id)) opened.delete(id);
    for (const [id, terminal] of terminals) {
      if (known.has(id)) continue;
      terminal.dispose();
      terminals.delete(id);
    }
    const isNew = selected !== null && !terminals.has(selected.id);
    if (isNew) {
      const terminal = consoleTerminal(selected.id, selected.name, consoleOf(selected.id), { selfId: actions.tab.host.id, refused });
      terminals.set(selected.id, terminal);
      body.prepend(terminal.element);
    }
    for (const vm of vms) terminals.get(vm.id)?.setAnswers(vm.here);
    for (const [id, terminal] of terminals) {
      const visible = id === selected?.id && mode === 'console';
      const appears = visible && terminal.element.hidden;
      if (!visible && !terminal.element.hidden) terminal.away();
      show(terminal.element, visible);
      if (appears || (isNew && visible)) terminal.fit();
      else if (visible) terminal.adapt();
    }
  }

  /** Somebody who starts a PC types into it next; if they do something else on the page by then, they are left alone. */
  function focusWhenReady(vm: VmView | null): void {
    if (vm?.here === true && vm.state === 'starting') starting = vm.id;
    else if (starting !== null && vm?.id === starting && vm.state === 'running') {
      starting = null;
      const elsewhere = document.activeElement !== null && document.activeElement !== document.body;
      // On a telephone the focus would open its keyboard.
      if (!elsewhere && !window.matchMedia('(pointer: coarse)').matches) shownTerminal()?.focus();
    }
  }

  /** A canvas can be handed over only once, so a VM that comes back gets a new one. */
  function drawScreen(selected: VmView | null): void {
    const wanted = mode === 'screen' && selected?.here === true && !selected.ended ? selected : null;
    if (screen !== null && screen.vmId !== wanted?.id) {
      screen.screen.dispose();
      screen = null;
    }
    if (screen === null && wanted !== null) {
      screen = { vmId: wanted.id, screen: vmScreen(wanted.id, wanted.name, actions.tab) };
      body.prepend(screen.screen.element);
    }
  }

  function update(scene: Scene): void {
    last = scene;
    const vm = scene.selected;
    const hasScreen = vm?.here === true && !vm.ended;
    if (!hasScreen) mode = 'console';
    setText(title, vm?.name ?? 'Console');
    setAttribute(element, 'data-hue', vm === null ? null : String(hueOf(vm.id)));
    setText(where, vm === null ? '' : vm.ended || !vm.ownerPresent ? '' : vm.here ? 'runs in this tab' : `runs in ${hostName(scene, vm.hostId)}, seen from here`);
    show(tabs, hasScreen);
    setAttribute(consoleTab, 'aria-pressed', String(mode === 'console'));
    setAttribute(screenTab, 'aria-pressed', String(mode === 'screen'));
    // While it migrates, the panel of the migration says what is waited for.
    setText(waiting, vm === null || migrationOf(scene.view, vm.id) !== null ? '' : vm.waitingFor ?? '');
    setText(typedWaiting, vm === null || vm.ended ? '' : typedWaitingText(consoleOf(vm.id).waiting()));
    show(waiting, waiting.textContent !== '');
    drawTerminals(scene.view.vms, vm);
    drawScreen(vm);
    focusWhenReady(vm);
    voice.listenTo(vm === null || vm.ended ? null : consoleOf(vm.id), vm?.id ?? '');
    overlay.update(scene);
    reaching.update(scene);
  }

  return {
    element,
    update,
    hasFocus: () => shownTerminal()?.element.contains(document.activeElement) ?? false,
    dispose() {
      screen?.screen.dispose();
      for (const terminal of terminals.values()) terminal.dispose();
      terminals.clear();
      bag.dispose();
    },
  };
}
