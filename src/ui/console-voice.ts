import { DisposableBag, type Disposable } from '../shared/disposable.ts';
import type { VmConsole } from '../host/scripting-interface.ts';
import { ConsoleSpeech } from './console-speech.ts';
import { el, setText } from './dom.ts';

/** If a console is quiet for this long, it has finished what it was asked for. */
const QUIET_MS = 500;

export interface ConsoleVoice extends Disposable {
  readonly element: HTMLElement;
  /** The console that is shown; null: none. */
  listenTo(console: Pick<VmConsole, 'onData'> | null, key: string): void;
}

/** An invisible region: a screen reader says what is written into it. */
export function consoleVoice(): ConsoleVoice {
  const bag = new DisposableBag();
  const element = el('div', { class: 'console-voice', role: 'log', 'aria-live': 'polite', 'aria-label': 'Console output', 'data-testid': 'console-voice' });
  let stop = (): void => undefined;
  let listened = '';
  let quiet: ReturnType<typeof setTimeout> | null = null;
  const silence = (): void => {
    stop();
    if (quiet !== null) clearTimeout(quiet);
    quiet = null;
  };
  bag.add({ dispose: () => silence() });

  return {
    element,
    listenTo(console, key) {
      if (key === listened) return;
      silence();
      listened = key;
      const speech = new ConsoleSpeech();
      stop =
        console?.onData((text) => {
          speech.add(text);
          if (quiet === null) setText(element, '');
          else clearTimeout(quiet);
          quiet = setTimeout(() => {
            quiet = null;
            const words = speech.take();
            if (words !== '') setText(element, words);
          }, QUIET_MS);
        }) ?? ((): void => undefined);
    },
    dispose: () => bag.dispose(),
  };
}
