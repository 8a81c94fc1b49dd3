import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import type { Tab } from '../host/scripting-interface.ts';
import { el, listen } from './dom.ts';
import { scancodes } from './scancodes.ts';

export interface VmScreen extends Disposable {
  readonly element: HTMLElement;
  focus(): void;
}

/**
 * The VM's VGA screen on a canvas that the VM's worker draws on, with the PC's keyboard and mouse while it has the
 * focus. Ctrl+Alt, pressed and let go together, gives the keyboard back to the page.
 */
export function vmScreen(vmId: string, vmName: string, tab: Tab): VmScreen {
  const bag = new DisposableBag();
  const canvas = el('canvas', { class: 'screen-canvas', tabindex: '0', 'aria-label': `Screen of ${vmName}. Ctrl and Alt together give the keyboard back.` });
  canvas.width = 720;
  canvas.height = 400;
  const hint = el('p', { class: 'screen-hint' }, 'Click to type and point; Ctrl+Alt gives the keyboard back.');
  const element = el('div', { class: 'screen' }, canvas, hint);
  tab.attachScreen(vmId, canvas.transferControlToOffscreen());
  bag.add({ dispose: () => tab.attachScreen(vmId, null) });

  const down = new Set<string>();
  /** Ctrl and Alt are down and nothing else was pressed meanwhile. */
  let leaving = false;

  function releaseAll(): void {
    for (const code of down) tab.sendScancodes(vmId, scancodes(code, 'up'));
    down.clear();
  }

  bag.add(listen(canvas, 'keydown', (event) => {
    const codes = scancodes(event.code, 'down');
    if (codes.length === 0) return;
    event.preventDefault();
    down.add(event.code);
    leaving = event.ctrlKey && event.altKey && [...down].every((code) => /^(Control|Alt)/.test(code));
    tab.sendScancodes(vmId, codes);
  }));
  bag.add(listen(canvas, 'keyup', (event) => {
    event.preventDefault();
    if (down.delete(event.code)) tab.sendScancodes(vmId, scancodes(event.code, 'up'));
    if (leaving) {
      leaving = false;
      canvas.blur();
    }
  }));
  bag.add(listen(canvas, 'blur', releaseAll));

  const buttons = (event: MouseEvent): readonly [boolean, boolean, boolean] => [(event.buttons & 1) !== 0, (event.buttons & 4) !== 0, (event.buttons & 2) !== 0];
  const point = (event: MouseEvent): void => {
    if (document.activeElement !== canvas) return;
    tab.sendMouse(vmId, event.movementX, event.movementY, buttons(event));
  };
  bag.add(listen(canvas, 'mousedown', (event) => {
    event.preventDefault();
    canvas.focus();
    tab.sendMouse(vmId, 0, 0, buttons(event));
  }));
  bag.add(listen(canvas, 'mouseup', (event) => tab.sendMouse(vmId, 0, 0, buttons(event))));
  bag.add(listen(canvas, 'mousemove', point));
  bag.add(listen(canvas, 'contextmenu', (event) => event.preventDefault()));

  return {
    element,
    focus: () => canvas.focus(),
    dispose() {
      releaseAll();
      bag.dispose();
      element.remove();
    },
  };
}
