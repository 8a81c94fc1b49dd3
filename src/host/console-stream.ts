/** The text a VM's console printed, kept to a bound, with listeners for what comes next. */
import { Emitter } from '../shared/emitter.ts';

/** Characters kept: some hundred screens, as much as anyone scrolls back. */
const MAX_CHARACTERS = 256 * 1024;
/** Trimmed only when this much over, so that trimming is rare. */
const SLACK_CHARACTERS = 64 * 1024;
/** Terminal control "reset to initial state": what a listener draws is replaced by what follows. */
const RESET = '\u001bc';

export class ConsoleStream {
  private kept = '';
  private readonly output = new Emitter<string>();

  text(): string {
    return this.kept.length > MAX_CHARACTERS ? this.kept.slice(-MAX_CHARACTERS) : this.kept;
  }

  append(data: string): void {
    this.kept += data;
    if (this.kept.length > MAX_CHARACTERS + SLACK_CHARACTERS) this.kept = this.kept.slice(-MAX_CHARACTERS);
    this.output.emit(data);
  }

  /**
   * The whole scroll-back arrives anew, because the VM's console is read from another place now. If it continues what
   * is kept, only the new end is told; otherwise listeners see a terminal reset and all of it.
   */
  continueWith(scrollback: string): void {
    const overlap = this.kept.slice(-OVERLAP_CHARACTERS);
    const at = overlap === '' ? -1 : scrollback.lastIndexOf(overlap);
    if (at >= 0) {
      const news = scrollback.slice(at + overlap.length);
      if (news !== '') this.append(news);
      return;
    }
    this.kept = scrollback;
    this.output.emit(RESET + scrollback);
  }

  onData(listener: (data: string) => void): () => void {
    const listening = this.output.on(listener);
    return () => listening.dispose();
  }
}

/** Characters at the end of the kept text that are looked up in a new scroll-back to find where it goes on. */
const OVERLAP_CHARACTERS = 400;
