import type { SerialPort } from '../../src/emulator-bridge/machine.ts';
import { disposable, type Disposable } from '../../src/shared/disposable.ts';
import { GuestError } from '../guest-error.ts';

/** How much of a console an error quotes. */
const QUOTED_LINES = 15;

/** Everything a serial port has printed, and waiting for what it prints. */
export class SerialWatch implements Disposable {
  private text = '';
  private readonly decoder = new TextDecoder();
  private readonly port: SerialPort;
  private readonly listening: Disposable;
  private readonly checks = new Set<() => void>();

  constructor(port: SerialPort) {
    this.port = port;
    this.listening = port.onData((bytes) => {
      this.text += this.decoder.decode(bytes, { stream: true });
      for (const check of [...this.checks]) check();
    });
  }

  /** How much was printed so far, in characters. */
  get position(): number {
    return this.text.length;
  }

  since(position: number): string {
    return this.text.slice(position);
  }

  /** Sends `line` with a line feed; resolves once `answer` was printed after it. */
  ask(line: string, answer: string, limitMs: number): Promise<void> {
    const from = this.text.length;
    this.port.write(new TextEncoder().encode(`${line}\n`));
    return this.printed(answer, limitMs, from);
  }

  /** Resolves once `wanted` was printed behind position `from`; rejects with GuestError('boot-failed') after the limit. */
  printed(wanted: string, limitMs: number, from = 0): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (!this.text.includes(wanted, from)) return;
        done.dispose();
        resolve();
      };
      const limit = setTimeout(() => {
        done.dispose();
        reject(
          new GuestError(
            'boot-failed',
            `The guest did not print ${JSON.stringify(wanted)} within ${limitMs / 1000} s. Its last lines:\n${this.lastLines() || '(nothing)'}`,
          ),
        );
      }, limitMs);
      const done = disposable(() => {
        clearTimeout(limit);
        this.checks.delete(check);
      });
      this.checks.add(check);
      check();
    });
  }

  lastLines(): string {
    return this.text.replaceAll('\r', '').trimEnd().split('\n').slice(-QUOTED_LINES).join('\n');
  }

  dispose(): void {
    this.listening.dispose();
  }
}
