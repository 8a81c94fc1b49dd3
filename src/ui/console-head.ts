import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import { el, listen, setAttribute, setText, show } from './dom.ts';
import { hostName, migrationOf, type Scene } from './scene.ts';
import { typedWaitingText } from './words.ts';

export type ConsoleMode = 'console' | 'screen';

export interface ConsoleHead extends Disposable {
  readonly element: HTMLElement;
  /** What the VM waits for, on a line of its own. */
  readonly waiting: HTMLElement;
  /** `typedWaiting`: characters that have not reached the VM shown. */
  update(scene: Scene, shown: { readonly mode: ConsoleMode; readonly hasScreen: boolean; readonly typedWaiting: number }): void;
}

/** The line above the console: which VM, where it runs, what has not reached it, and the choice of console or screen. */
export function consoleHead(choose: (mode: ConsoleMode) => void): ConsoleHead {
  const bag = new DisposableBag();
  const title = el('h2', { class: 'console-title' });
  const where = el('span', { class: 'console-where' });
  const consoleTab = el('button', { type: 'button', class: 'tab', 'data-testid': 'console-tab' }, 'Console');
  const screenTab = el('button', { type: 'button', class: 'tab', 'data-testid': 'screen-tab' }, 'Screen');
  const tabs = el('div', { class: 'tabs', role: 'group', 'aria-label': 'Show' }, consoleTab, screenTab);
  const waiting = el('p', { class: 'waiting' });
  // Always present: a screen reader only reports changes in a region that it already knows.
  const typed = el('span', { class: 'typed-waiting', role: 'status', 'data-testid': 'typed-waiting' });
  const element = el('div', { class: 'console-head' }, title, where, typed, tabs);
  listen(bag, consoleTab, 'click', () => choose('console'));
  listen(bag, screenTab, 'click', () => choose('screen'));
  return {
    element,
    waiting,
    update(scene, { mode, hasScreen, typedWaiting }) {
      const vm = scene.selected;
      setText(title, vm?.name ?? 'Console');
      setText(where, vm === null || vm.ended || !vm.ownerPresent ? '' : vm.here ? 'runs in this tab' : `runs in ${hostName(scene, vm.hostId)}, seen from here`);
      show(tabs, hasScreen);
      setAttribute(consoleTab, 'aria-pressed', String(mode === 'console'));
      setAttribute(screenTab, 'aria-pressed', String(mode === 'screen'));
      // While the VM migrates, the migration panel says what it waits for.
      setText(waiting, vm === null || migrationOf(scene.view, vm.id) !== null ? '' : (vm.waitingFor ?? ''));
      setText(typed, vm === null || vm.ended ? '' : typedWaitingText(typedWaiting));
      show(waiting, waiting.textContent !== '');
    },
    dispose: () => bag.dispose(),
  };
}
