import type { FitAddon } from '@xterm/addon-fit';
import type { Terminal } from '@xterm/xterm';
import { setAttribute } from './dom.ts';
import { fontSizeFor, scaledFontSizeFor, smallerFontSize } from './terminal-size.ts';

/** After a change of size, the newest lines are kept in view for this long if they were in view before. */
const FOLLOW_MS = 2000;

export interface DrawnTerminal {
  /** The element that the terminal fills. */
  readonly element: HTMLElement;
  readonly terminal: Terminal;
  readonly fitting: FitAddon;
  readonly selfId: string;
}

/** How a terminal is drawn in its place: unscaled if this tab holds the console's size, else scaled until all of it fits. */
export class TerminalDrawing {
  private readonly shown: DrawnTerminal;
  /** What is drawn now: columns, rows and holder. */
  private drawn = '';
  private followsUntil = 0;

  constructor(shown: DrawnTerminal) {
    this.shown = shown;
  }

  /** How many columns and rows fit here. Call `adapt` afterwards. */
  room(): { readonly cols: number; readonly rows: number } | undefined {
    const { element, fitting } = this.shown;
    this.setFontSize(fontSizeFor(element.clientWidth, element.clientHeight));
    this.drawn = '';
    return fitting.proposeDimensions();
  }

  /** Draws the size that the console has. */
  adapt(size: { readonly cols: number; readonly rows: number; readonly holder: string | null }): void {
    const { element, terminal, selfId } = this.shown;
    const own = size.holder === selfId;
    const next = `${size.cols} ${size.rows} ${own}`;
    if (element.clientWidth === 0 || this.drawn === next) return;
    this.drawn = next;
    if (own) this.setFontSize(fontSizeFor(element.clientWidth, element.clientHeight));
    else this.scaleTo(size);
    if (this.isAtBottom()) this.followsUntil = performance.now() + FOLLOW_MS;
    terminal.resize(size.cols, size.rows);
    this.follow();
    setAttribute(element, 'data-cols', String(size.cols));
    setAttribute(element, 'data-rows', String(size.rows));
  }

  /** A new size rewraps lines; some frames later, the terminal's scroll bar may move the view to older lines. */
  follow(): void {
    if (performance.now() < this.followsUntil && !this.isAtBottom()) this.shown.terminal.scrollToBottom();
  }

  private scaleTo(size: { readonly cols: number; readonly rows: number }): void {
    const { element, terminal, fitting } = this.shown;
    this.setFontSize(scaledFontSizeFor(element.clientWidth, element.clientHeight, size));
    for (;;) {
      const room = fitting.proposeDimensions();
      const smaller = smallerFontSize(terminal.options.fontSize ?? 0);
      if (room === undefined || smaller === null || (room.cols >= size.cols && room.rows >= size.rows)) return;
      this.setFontSize(smaller);
    }
  }

  private isAtBottom(): boolean {
    const { active } = this.shown.terminal.buffer;
    return active.viewportY >= active.baseY;
  }

  private setFontSize(size: number): void {
    const { options } = this.shown.terminal;
    if (options.fontSize !== size) options.fontSize = size;
  }
}
