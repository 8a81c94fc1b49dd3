/** Drives the guest's shell over its serial console, as a person would. Works in Node and in a worker. */
import type { Disposable } from '../../shared/disposable.ts';
import type { Machine } from '../machine.ts';

/** Without a random seed the guest starts no shell (guest/AGENT.md). */
const SEED = '5e'.repeat(64);
/** The shell asks the terminal for its size behind the prompt. */
const PROMPT = /guest# (?:\x1b\[6n)?$/;

export class GuestConsole implements Disposable {
  private readonly machine: Machine;
  private readonly decoder = new TextDecoder();
  private readonly listener: Disposable;
  private readonly waiting = new Set<() => void>();
  private printed = '';

  constructor(machine: Machine) {
    this.machine = machine;
    this.listener = machine.console.onData((bytes) => {
      this.printed += this.decoder.decode(bytes, { stream: true });
      for (const check of [...this.waiting]) check();
    });
  }

  /** All that was printed since this console was opened. */
  get text(): string {
    return this.printed;
  }

  type(text: string): void {
    this.machine.console.write(new TextEncoder().encode(text));
  }

  /** Resolves with what was printed after position `from` as soon as that matches. */
  until(pattern: RegExp, from = 0): Promise<string> {
    return new Promise((resolve) => {
      const check = (): void => {
        const seen = this.printed.slice(from);
        if (!pattern.test(seen)) return;
        this.waiting.delete(check);
        resolve(seen);
      };
      this.waiting.add(check);
      check();
    });
  }

  /** Runs one command and resolves with its output, without the echo and the next prompt. */
  async run(command: string): Promise<string> {
    const from = this.printed.length;
    this.type(`${command}\n`);
    const output = await this.until(PROMPT, from);
    return output
      .slice(output.indexOf('\n') + 1)
      .replace(PROMPT, '')
      .replaceAll('\r', '');
  }

  /** Gives a guest that has just begun to run its random seed, and waits for the first prompt. */
  async begin(): Promise<void> {
    this.machine.agent.write(new TextEncoder().encode(`seed seed=${SEED}\n`));
    await this.until(PROMPT);
  }

  /** Resolves at the prompt after the guest's next boot. */
  async booted(): Promise<void> {
    let heard = '';
    await new Promise<void>((resolve) => {
      const listening = this.machine.agent.onData((bytes) => {
        heard += String.fromCharCode(...bytes);
        if (!heard.includes('event ready')) return;
        listening.dispose();
        resolve();
      });
    });
    await this.begin();
  }

  /** Asks for a prompt, and waits for it. */
  async ready(): Promise<void> {
    const from = this.printed.length;
    this.type('\n');
    await this.until(PROMPT, from);
  }

  dispose(): void {
    this.listener.dispose();
    this.waiting.clear();
  }
}
