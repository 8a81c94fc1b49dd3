/**
 * The VM worker's side of the console: output as bytes, in order and counted; input kept while the VM is stopped for a
 * switchover, so that a key pressed in that moment reaches the guest wherever it runs next.
 */
import type { Machine } from '../../emulator-bridge/machine.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { ConsoleLuggage } from './console-luggage.ts';

export class ConsoleGate implements Disposable {
  private readonly machine: Pick<Machine, 'console' | 'scrollback'>;
  private readonly listening: Disposable;
  private readonly encoder = new TextEncoder();
  private printed: number;
  private kept = '';
  private closed = false;

  /** `luggage`: of a VM that arrives; a new VM has printed what its snapshot kept. */
  constructor(machine: Pick<Machine, 'console' | 'scrollback'>, output: (data: Uint8Array) => void, luggage: ConsoleLuggage | null = null) {
    this.machine = machine;
    this.printed = luggage?.printed ?? machine.scrollback().length;
    this.listening = machine.console.onData((bytes) => {
      this.printed += bytes.length;
      output(bytes);
    });
  }

  /** After the machine has saved its devices: all it printed has been told then. */
  luggage(): ConsoleLuggage {
    return { printed: this.printed };
  }

  input(data: string): void {
    if (this.closed) this.kept += data;
    else this.machine.console.write(this.encoder.encode(data));
  }

  /** From now on input is kept. */
  hold(): void {
    this.closed = true;
  }

  /** The VM runs on here: it gets what was typed meanwhile. */
  release(): void {
    this.closed = false;
    const kept = this.takeKept();
    if (kept !== '') this.input(kept);
  }

  /** What was typed and not given to the guest. */
  takeKept(): string {
    const kept = this.kept;
    this.kept = '';
    return kept;
  }

  dispose(): void {
    this.listening.dispose();
  }
}
