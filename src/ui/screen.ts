import { DisposableBag, disposable, type Disposable } from '../shared/disposable.ts';
import type { Tab } from '../host/scripting-interface.ts';
import { el, listen, setText } from './dom.ts';
import { screenKeyboard } from './screen-keyboard.ts';

type Buttons = readonly [left: boolean, middle: boolean, right: boolean];
const NO_BUTTONS: Buttons = [false, false, false];
const HINT = 'Click to type and point; Ctrl+Alt gives the keyboard back.';

export interface VmScreen extends Disposable {
  readonly element: HTMLElement;
  focus(): void;
  /** Presses and releases a key of the guest; `control`: with Ctrl. */
  tap(code: string, control: boolean): void;
}

/**
 * The VM's VGA screen on a canvas that the VM's worker draws on, with the PC's keyboard and mouse while it has the
 * focus. Ctrl+Alt, pressed and let go together, gives the keyboard back to the page.
 */
export function vmScreen(vmId: string, vmName: string, tab: Tab): VmScreen {
  const bag = new DisposableBag();
  const canvas = el('canvas', { class: 'screen-canvas', role: 'img', 'aria-label': `Screen of ${vmName}` });
  canvas.width = 720;
  canvas.height = 400;
  const hint = el('p', { class: 'screen-hint', role: 'status' }, HINT);
  tab.attachScreen(vmId, canvas.transferControlToOffscreen());
  bag.add(disposable(() => tab.attachScreen(vmId, null)));

  let pressed = NO_BUTTONS;
  function point(dx: number, dy: number, buttons: Buttons): void {
    pressed = buttons;
    tab.sendMouse(vmId, dx, dy, buttons);
  }
  function letGoOfButtons(): void {
    if (pressed.includes(true)) point(0, 0, NO_BUTTONS);
  }

  const keyboard = bag.add(
    screenKeyboard(
      `Keyboard for the screen of ${vmName}. Ctrl and Alt together give it back.`,
      (codes) => {
        if (codes.length > 0) tab.sendScancodes(vmId, codes);
      },
      letGoOfButtons,
      (sentence) => setText(hint, sentence),
    ),
  );
  const element = el('div', { class: 'screen' }, canvas, keyboard.element, hint);
  listen(bag, keyboard.element, 'focus', () => setText(hint, HINT));

  listen(bag, canvas, 'mousedown', (event) => {
    event.preventDefault();
    keyboard.element.focus({ preventScroll: true });
    point(0, 0, buttonsOf(event));
  });
  // A phone whose keyboard was closed opens it again only for a new focus.
  listen(bag, canvas, 'touchend', () => keyboard.element.blur());
  listen(bag, canvas, 'mousemove', (event) => {
    if (document.activeElement === keyboard.element) point(event.movementX, event.movementY, buttonsOf(event));
  });
  listen(bag, canvas, 'contextmenu', (event) => event.preventDefault());
  // Listens on the window, because the pointer may be anywhere by then.
  const mouseUp = (event: MouseEvent): void => {
    if (pressed.includes(true)) point(0, 0, buttonsOf(event));
  };
  window.addEventListener('mouseup', mouseUp);
  bag.add(disposable(() => window.removeEventListener('mouseup', mouseUp)));

  return {
    element,
    focus: () => keyboard.element.focus({ preventScroll: true }),
    tap: (code, control) => keyboard.keys.tap(code, control),
    dispose() {
      bag.dispose();
      element.remove();
    },
  };
}

function buttonsOf({ buttons }: MouseEvent): Buttons {
  return [(buttons & 1) !== 0, (buttons & 4) !== 0, (buttons & 2) !== 0];
}
