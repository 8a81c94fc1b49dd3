/**
 * What a screen reader says of a console: when the console has been quiet for a moment, the last lines that it printed.
 * Nothing is said for programs that draw with cursor movements, nor for a console that never stops. Pure; the caller has
 * the clock.
 */

/** Nobody listens to more lines; the rest can be read on the screen. */
const MAX_LINES = 5;
const MAX_LINE_CHARACTERS = 200;
/** Enough for the last lines, however long. */
const MAX_KEPT_CHARACTERS = 4096;
/** Cursor movements and clearing: the text is a picture, not lines. */
const DRAWING = /\u001b(\[[0-9;?]*[A-HJKSTdf]|c)/;
const CONTROLS = /\u001b(\[[0-9;?]*[ -/]*[@-~]|\][^\u0007]*\u0007|.)|[\u0000-\u0008\u000b-\u001f]/g;

export class ConsoleSpeech {
  private printed = '';

  add(text: string): void {
    this.printed = (this.printed + text).slice(-MAX_KEPT_CHARACTERS);
  }

  /** What to say now that the console is quiet; empty for nothing. */
  take(): string {
    const { printed } = this;
    this.printed = '';
    // The shell clears the rest of the line after a prompt that it redraws.
    if (DRAWING.test(printed.replaceAll('\u001b[J', ''))) return '';
    const lines = printed
      .replaceAll(CONTROLS, '')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
    return lines
      .slice(-MAX_LINES)
      .map((line) => line.slice(0, MAX_LINE_CHARACTERS))
      .join('\n');
  }
}
