/**
 * The latest output of a VM's console, up to a limit, with listeners for what comes next. Output is counted from the
 * VM's first byte on, so a scroll-back from another place can be joined to what is kept without a gap or a repetition.
 */
import { ByteQueue } from '../emulator-bridge/byte-queue.ts';
import { Emitter } from '../shared/emitter.ts';
import { fromWholeLine } from './console-bytes.ts';

/** Bytes kept: some hundred screens, as much as anyone scrolls back. */
export const MAX_KEPT_BYTES = 256 * 1024;
/** Terminal control "reset to initial state": what a listener draws is replaced by what follows. */
const RESET = '\u001bc';

export class ConsoleStream {
  private readonly kept = new ByteQueue();
  private end = 0;
  /** Keeps the first bytes of a character until the rest arrives. */
  private decoder = newDecoder();
  private readonly output = new Emitter<Uint8Array>();
  private readonly textOutput = new Emitter<string>();

  /** Bytes that the VM has printed in its life, as far as it was heard. */
  get printed(): number {
    return this.end;
  }

  /** What is kept, from the beginning of a line. It may end in the middle of a character; `onBytes` continues there. */
  bytes(): Uint8Array {
    const bytes = this.kept.toBytes();
    return this.end > bytes.length ? fromWholeLine(bytes) : bytes;
  }

  /** The same as text, up to the last whole character; `onText` goes on there. */
  text(): string {
    return newDecoder().decode(this.bytes(), { stream: true });
  }

  append(data: Uint8Array): void {
    this.keep(data);
    this.tell(data);
  }

  /**
   * The scroll-back arrives again because the VM's console is now read from another place. `printed` is how many bytes
   * the VM had printed at the end of the scroll-back. If it continues what is kept, listeners get only the new part;
   * otherwise they get a terminal reset and the whole scroll-back.
   */
  continueWith(scrollback: Uint8Array, printed: number): void {
    const known = this.end - (printed - scrollback.length);
    if (this.end > 0 && known >= 0 && known <= scrollback.length && this.endsWith(scrollback.subarray(0, known))) {
      if (known < scrollback.length) this.append(scrollback.subarray(known));
      return;
    }
    this.kept.clear();
    this.keep(scrollback);
    this.end = printed;
    this.output.emit(new TextEncoder().encode(RESET));
    this.decoder = newDecoder();
    this.textOutput.emit(RESET);
    this.tell(this.bytes());
  }

  onBytes(listener: (data: Uint8Array) => void): () => void {
    const listening = this.output.on(listener);
    return () => listening.dispose();
  }

  /** Whole characters as they come. */
  onText(listener: (text: string) => void): () => void {
    const listening = this.textOutput.on(listener);
    return () => listening.dispose();
  }

  private keep(data: Uint8Array): void {
    this.end += data.length;
    this.kept.pushAll(data.subarray(Math.max(0, data.length - MAX_KEPT_BYTES)));
    this.kept.drop(this.kept.length - MAX_KEPT_BYTES);
  }

  private tell(data: Uint8Array): void {
    this.output.emit(data);
    const text = this.decoder.decode(data, { stream: true });
    if (text !== '') this.textOutput.emit(text);
  }

  /** Whether what is kept ends like `known`, as far as both reach back: a VM that was given back prints something else. */
  private endsWith(known: Uint8Array): boolean {
    const kept = this.kept.toBytes();
    const count = Math.min(kept.length, known.length);
    const [a, b] = [kept.subarray(kept.length - count), known.subarray(known.length - count)];
    return a.every((byte, at) => byte === b[at]);
  }
}

/** A byte order mark is a character like any other here. */
function newDecoder(): TextDecoder {
  return new TextDecoder('utf-8', { ignoreBOM: true });
}
