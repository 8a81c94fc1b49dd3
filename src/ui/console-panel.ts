import { DisposableBag } from '../shared/disposable.ts';
import type { VmView } from '../host/scripting-interface.ts';
import { consoleHead, type ConsoleMode } from './console-head.ts';
import { consoleOverlay } from './console-overlay.ts';
import { consoleTerminals } from './console-terminals.ts';
import { consoleVoice } from './console-voice.ts';
import { el, listen, setAttribute, type Component } from './dom.ts';
import { keyBar } from './key-bar.ts';
import { reach } from './reach.ts';
import type { Actions, Scene } from './scene.ts';
import { onResize } from './on-resize.ts';
import { screenPlace } from './screen-place.ts';
import type { ConsoleTerminal } from './terminal.ts';
import { attemptToType } from './typing.ts';
import { hueOf } from './vm-chip.ts';

export interface ConsolePanel extends Component<Scene> {
  /** Somebody types into the console that is shown. */
  hasFocus(): boolean;
}

/** The console of the shown VM, large; if the VM runs here, its VGA screen is a second tab beside it. */
export function consolePanel(actions: Actions): ConsolePanel {
  const bag = new DisposableBag();
  let mode: ConsoleMode = 'console';
  let last: Scene | null = null;

  const refused = (error: Error): void => actions.attempt(() => Promise.reject(error));
  const head = bag.add(consoleHead(setMode));
  const overlay = bag.add(consoleOverlay(actions));
  const keys = bag.add(
    keyBar(({ text, code, control }) => {
      const vm = last?.selected;
      if (screen.shown !== null) screen.shown.tap(code, control);
      else if (vm !== null && vm !== undefined) {
        const shown = terminals.consoleOf(vm.id);
        shown.used();
        attemptToType(() => shown.write(text), refused);
      }
    }),
  );
  const reaching = bag.add(reach());
  const body = el('div', { class: 'console-body' }, overlay.element);
  const terminals = bag.add(consoleTerminals(body, actions, refused));
  const screen = bag.add(screenPlace(body, actions));
  // Tab belongs to the guest: this is the keyboard's way past the console, and what a screen reader hears of it.
  const after = el('span', { tabindex: '-1' });
  const skip = el('button', { type: 'button', class: 'skip', 'data-testid': 'skip-console' }, 'Skip the console');
  listen(bag, skip, 'click', () => after.focus());
  const voice = bag.add(consoleVoice());
  const element = el(
    'section',
    { class: 'console-panel', 'aria-label': 'Console' },
    head.element,
    head.waiting,
    skip,
    body,
    after,
    voice.element,
    keys.element,
    reaching.element,
  );

  // The guest redraws its screen for each new size.
  bag.add(onResize(body, () => shownTerminal()?.fit()));

  function shownTerminal(): ConsoleTerminal | undefined {
    const vm = last?.selected;
    return vm === null || vm === undefined || mode !== 'console' ? undefined : terminals.of(vm.id);
  }

  function setMode(next: ConsoleMode): void {
    mode = next;
    if (last !== null) update(last);
    if (mode === 'screen') screen.shown?.focus();
    else shownTerminal()?.focus();
  }

  const focusWhenReady = whenStarted(() => shownTerminal()?.focus());

  function update(scene: Scene): void {
    last = scene;
    const vm = scene.selected;
    const hasScreen = vm?.here === true && !vm.ended;
    if (!hasScreen) mode = 'console';
    setAttribute(element, 'data-hue', vm === null ? null : String(hueOf(vm.id)));
    head.update(scene, { mode, hasScreen, typedWaiting: vm === null || vm.ended ? 0 : terminals.consoleOf(vm.id).waiting() });
    terminals.draw(scene.view.vms, vm, mode === 'console');
    screen.draw(mode === 'screen' && hasScreen ? vm : null);
    focusWhenReady(vm);
    voice.listenTo(vm === null || vm.ended ? null : terminals.consoleOf(vm.id), vm?.id ?? '');
    overlay.update(scene);
    reaching.update(scene);
  }

  return {
    element,
    update,
    hasFocus: () => shownTerminal()?.element.contains(document.activeElement) ?? false,
    dispose: () => bag.dispose(),
  };
}

/** Somebody who starts a PC types into it next; if they do something else on the page by then, they are left alone. */
function whenStarted(focus: () => void): (vm: VmView | null) => void {
  /** A VM that starts here, until it is ready. */
  let starting: string | null = null;
  return (vm) => {
    if (vm?.here === true && vm.state === 'starting') starting = vm.id;
    else if (starting !== null && vm?.id === starting && vm.state === 'running') {
      starting = null;
      const elsewhere = document.activeElement !== null && document.activeElement !== document.body;
      // On a telephone the focus would open its keyboard.
      if (!elsewhere && !window.matchMedia('(pointer: coarse)').matches) focus();
    }
  };
}
