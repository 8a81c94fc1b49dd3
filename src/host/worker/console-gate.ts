/**
 * The VM worker's side of the console: output as text, in order; input kept while the VM is stopped for a switchover,
 * so that a key pressed in that moment reaches the guest wherever it runs next.
 */
import type { Machine } from '../../emulator-bridge/machine.ts';
import type { Disposable } from '../../shared/disposable.ts';

export class ConsoleGate implements Disposable {
  private readonly machine: Machine;
  private readonly listening: Disposable;
  private readonly decoder = new TextDecoder();
  private readonly encoder = new TextEncoder();
  private kept = '';
  private closed = false;

  constructor(machine: Machine, output: (data: string) => void) {
    this.machine = machine;
    this.listening = machine.console.onData((bytes) => {
      const data = this.decoder.decode(bytes, { stream: true });
      if (data !== '') output(data);
    });
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
