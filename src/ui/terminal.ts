import '@xterm/xterm/css/xterm.css';
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import type { TerminalConsole } from '../host/scripting-interface.ts';
import { copyText } from './copy-text.ts';
import { blinkCursor } from './cursor-blink.ts';
import { el, listen } from './dom.ts';
import { keyMeaning } from './terminal-keys.ts';
import { TerminalDrawing } from './terminal-drawing.ts';
import { TERMINAL_THEME } from './terminal-theme.ts';
import { attemptToType } from './typing.ts';

/** Lines kept above the screen. */
const SCROLL_BACK_LINES = 5_000;
const IS_MAC = navigator.userAgent.includes('Macintosh');

export interface ConsoleTerminal extends Disposable {
  readonly element: HTMLElement;
  /** The page gives it the focus. That alone does not make this tab the one that uses the console. */
  focus(): void;
  /** Fits the terminal into its place; to be called when it is shown or its place changes. */
  fit(): void;
  /** Adopts the console's size, if it has changed. */
  adapt(): void;
  /** It is no longer shown. */
  away(): void;
  /** Whether this tab answers the guest's questions to its terminal (where is the cursor?): only one tab may. */
  setAnswers(answers: boolean): void;
}

export interface TerminalPlace {
  readonly selfId: string;
  /** A request was refused; the error's message is a sentence. */
  readonly refused: (error: Error) => void;
}

/** One VM's serial console. It lives as long as the VM is known, so that the scroll-back stays when VMs are switched. */
export function consoleTerminal(vmId: string, vmName: string, source: TerminalConsole, { selfId, refused }: TerminalPlace): ConsoleTerminal {
  const bag = new DisposableBag();
  const element = el('div', { class: 'terminal', 'data-testid': 'console', 'data-vm-id': vmId });
  // The scroll-back that is shown again was drawn for this size.
  const terminal = emptyTerminal(source.size());
  const fitting = new FitAddon();
  terminal.loadAddon(fitting);

  let answers = false;
  let replaying = true;
  // A handler that returns true swallows the question, so that xterm.js does not answer it.
  const swallow = (): boolean => replaying || !answers;
  for (const id of [{ final: 'n' }, { prefix: '?', final: 'n' }, { final: 'c' }, { prefix: '>', final: 'c' }]) {
    bag.add(terminal.parser.registerCsiHandler(id, swallow));
  }
  giveKeysMeaning(terminal, refused);
  const send = (write: () => void): void => attemptToType(write, refused);
  bag.add(terminal.onData((text) => send(() => source.write(text))));
  // Mouse reports: each character stands for a byte.
  bag.add(terminal.onBinary((text) => send(() => source.writeBytes(Uint8Array.from(text, (character) => character.charCodeAt(0))))));
  bag.add({ dispose: source.onBytes((data) => terminal.write(data)) });

  const drawing = new TerminalDrawing({ element, terminal, fitting, selfId });
  bag.add(terminal.onRender(() => drawing.follow()));
  bag.add(terminal.onScroll(() => drawing.follow()));

  let focusing = false;
  const used = (): void => {
    if (!focusing) source.used();
  };
  function adapt(): void {
    if (opened) drawing.adapt(source.size());
  }

  let opened = false;
  function open(): void {
    if (opened || element.clientWidth === 0) return;
    opened = true;
    terminal.open(element);
    const { textarea } = terminal;
    if (textarea === undefined) return;
    textarea.setAttribute('aria-label', `Console of ${vmName}. Shift+Tab leaves it, Enter then skips it.`);
    bag.add(blinkCursor(terminal, element));
    // The focus may have stayed here while another tab was used.
    listen(bag, element, 'pointerdown', used);
    for (const type of ['focus', 'keydown', 'input'] as const) listen(bag, textarea, type, used);
  }
  terminal.write(source.bytes(), () => {
    replaying = false;
  });

  return {
    element,
    focus() {
      focusing = true;
      terminal.focus();
      focusing = false;
    },
    fit() {
      open();
      if (!opened) return;
      const room = drawing.room();
      if (room !== undefined) source.fits(room);
      adapt();
    },
    adapt,
    away: () => source.fits(null),
    setAnswers(next) {
      answers = next;
    },
    dispose() {
      bag.dispose();
      terminal.dispose();
      element.remove();
    },
  };
}

function emptyTerminal({ cols, rows }: { readonly cols: number; readonly rows: number }): Terminal {
  return new Terminal({
    cols,
    rows,
    cursorBlink: false,
    scrollback: SCROLL_BACK_LINES,
    fontFamily: 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
    screenReaderMode: false,
    theme: TERMINAL_THEME,
    macOptionIsMeta: true,
  });
}

/** Keys that are not the guest's, or are another character to it (terminal-keys.ts). */
function giveKeysMeaning(terminal: Terminal, refused: (error: Error) => void): void {
  terminal.attachCustomKeyEventHandler((event) => {
    const meaning = keyMeaning(event, terminal.hasSelection(), IS_MAC);
    if (meaning.kind === 'terminal') return true;
    if (meaning.kind !== 'browser') event.preventDefault();
    if (meaning.kind === 'copy') copySelection(terminal, refused);
    if (meaning.kind === 'character') terminal.input(meaning.text, true);
    return false;
  });
}

function copySelection(terminal: Terminal, refused: (error: Error) => void): void {
  const text = terminal.getSelection();
  if (text === '') return;
  // The next Ctrl+C interrupts again.
  terminal.clearSelection();
  void copyText(text).then((copied) => {
    if (!copied) refused(new Error('The browser does not let this page write to the clipboard. Copy with its own menu.'));
  });
}
