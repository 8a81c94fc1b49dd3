/**
 * A serial port of the guest. Input waits here and enters the UART's small FIFO as the guest reads, so that a paste
 * arrives complete. Input that the guest has not read moves with the VM, because v86 saves no input. Output is batched.
 */
import { disposable, type Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import { ByteQueue } from './byte-queue.ts';
import type { SerialPort } from './machine.ts';
import type { BusLike } from './v86-bus.ts';

/** Bytes of console output kept for a terminal that opens later, and moved with the VM. */
export const SCROLLBACK_BYTES = 64 * 1024;
/** Most input bytes that may wait for the guest. A paste of 64 KiB fits many times. */
export const INPUT_LIMIT_BYTES = 1024 * 1024;
/**
 * Depth of the UART's receive FIFO: as many bytes as Linux's driver reads in one interrupt. With a real UART's 16
 * bytes, the guest needs three times the instructions for the same paste; more would keep it in its interrupt handler.
 */
export const FIFO_BYTES = 256;
/** Line status: there is a received byte. */
const LSR_DATA_READY = 1;
/** Interrupt causes of received data, as v86 numbers them. */
const CAUSE_DATA = 4;
const CAUSE_TIMEOUT = 12;

/** The members of v86's UART used here; see v86-api.ts for the pinned version. */
export interface UartLike {
  input: { readonly length: number; push(byte: number): unknown; shift(): number | undefined };
  lsr: number;
  data_received(byte: number): void;
  ClearInterrupt(cause: number): void;
}

export class UartSerialPort implements SerialPort, Disposable {
  private readonly uart: UartLike;
  private readonly fifo: ReceiveFifo;
  /** Input that has not entered the FIFO. */
  private readonly waiting = new ByteQueue();
  private readonly history = new ByteQueue();
  private readonly data = new Emitter<Uint8Array>();
  private readonly trouble = new Emitter<string>();
  private readonly unhook: Disposable;
  private output = new Uint8Array(4096);
  private outputLength = 0;
  private running = false;
  private refilling = false;
  private overflowed = false;

  /** `number` is 0 for COM1. The machine counts as stopped until setRunning(true). */
  constructor(bus: BusLike, uart: UartLike, number: 0 | 1) {
    this.uart = uart;
    this.fifo = new ReceiveFifo(() => this.scheduleRefill());
    while (uart.input.length > 0) this.fifo.push(uart.input.shift() ?? 0);
    uart.input = this.fifo;
    const event = `serial${number}-output-byte`;
    const byteSent = (byte: number): void => this.collect(byte);
    bus.register(event, byteSent, undefined);
    this.unhook = disposable(() => bus.unregister(event, byteSent));
  }

  get room(): number {
    return Math.max(0, INPUT_LIMIT_BYTES - this.waiting.length);
  }

  /** Queues input for the guest; also while the machine is stopped. */
  write(bytes: Uint8Array): void {
    const { room } = this;
    this.waiting.pushAll(bytes.subarray(0, room));
    if (bytes.length > room && !this.overflowed) {
      this.overflowed = true;
      this.trouble.emit(`The guest does not read its serial input: ${INPUT_LIMIT_BYTES / 1024} KiB wait for it, and what is typed now is dropped.`);
    }
    if (this.fifo.length === 0) this.refill();
  }

  /** Output in the order it was sent, one batch per turn of the guest's CPU. The listener may keep the batch. */
  onData(listener: (bytes: Uint8Array) => void): Disposable {
    return this.data.on(listener);
  }

  onTrouble(listener: (sentence: string) => void): Disposable {
    return this.trouble.on(listener);
  }

  /** The last bytes of output, at most SCROLLBACK_BYTES. */
  scrollback(): Uint8Array {
    this.flush();
    return this.history.toBytes();
  }

  /** Replaces the scroll-back by another host's. */
  restoreScrollback(bytes: Uint8Array): void {
    this.flush();
    this.history.clear();
    this.history.pushAll(bytes.subarray(Math.max(0, bytes.length - SCROLLBACK_BYTES)));
  }

  /** The machine's owner says whether the CPU runs. */
  setRunning(running: boolean): void {
    this.running = running;
    if (running) this.refill();
  }

  /** All input the guest has not read, oldest first. Only while stopped; delivers pending output first. */
  saveQueue(): Uint8Array {
    this.flush();
    const first = this.fifo.toBytes();
    const rest = this.waiting.toBytes();
    const all = new Uint8Array(first.length + rest.length);
    all.set(first);
    all.set(rest, first.length);
    return all;
  }

  /** Call after v86 has restored the UART, while stopped. The guest then finds the input that saveQueue() returned. */
  restoreQueue(bytes: Uint8Array): void {
    this.fifo.clear();
    this.waiting.clear();
    this.waiting.pushAll(bytes);
    if ((this.uart.lsr & LSR_DATA_READY) === 0) return;
    // The guest has already been notified of this data, so the data must be there without another interrupt.
    while (this.fifo.length < FIFO_BYTES && this.waiting.length > 0) this.fifo.push(this.waiting.shift() ?? 0);
    if (this.fifo.length > 0) return;
    this.uart.lsr &= ~LSR_DATA_READY;
    this.uart.ClearInterrupt(CAUSE_TIMEOUT);
    this.uart.ClearInterrupt(CAUSE_DATA);
  }

  /** Input that waits for the guest, the UART's FIFO included. */
  get queued(): number {
    return this.fifo.length + this.waiting.length;
  }

  dispose(): void {
    this.running = false;
    this.unhook.dispose();
    this.data.dispose();
    this.trouble.dispose();
  }

  /** Delivers collected output now. */
  flush(): void {
    if (this.outputLength === 0) return;
    const batch = this.output.slice(0, this.outputLength);
    this.outputLength = 0;
    this.history.pushAll(batch.subarray(Math.max(0, batch.length - SCROLLBACK_BYTES)));
    this.history.drop(this.history.length - SCROLLBACK_BYTES);
    this.data.emit(batch);
  }

  private collect(byte: number): void {
    if (this.outputLength === this.output.length) {
      const larger = new Uint8Array(this.output.length * 2);
      larger.set(this.output);
      this.output = larger;
    }
    this.output[this.outputLength++] = byte;
    // The microtask runs when the CPU's turn is over.
    if (this.outputLength === 1) queueMicrotask(() => this.flush());
  }

  /** Refills in a microtask, so that the guest's driver leaves its interrupt handler before it finds more input. */
  private scheduleRefill(): void {
    if (this.refilling || this.waiting.length === 0) return;
    this.refilling = true;
    queueMicrotask(() => {
      this.refilling = false;
      if (this.fifo.length === 0) this.refill();
    });
  }

  private refill(): void {
    if (!this.running || this.waiting.length === 0) return;
    const count = Math.min(FIFO_BYTES - this.fifo.length, this.waiting.length);
    // One interrupt for all of them.
    for (let n = 1; n < count; n++) this.fifo.push(this.waiting.shift() ?? 0);
    if (count > 0) this.uart.data_received(this.waiting.shift() ?? 0);
    if (this.waiting.length === 0) this.overflowed = false;
  }
}

/** Replaces the plain array in which v86's UART keeps its input: it has the same three members, and reports when it becomes empty. */
class ReceiveFifo {
  private readonly bytes = new ByteQueue();
  private readonly emptied: () => void;

  constructor(emptied: () => void) {
    this.emptied = emptied;
  }

  get length(): number {
    return this.bytes.length;
  }

  push(byte: number): void {
    this.bytes.push(byte);
  }

  shift(): number | undefined {
    const byte = this.bytes.shift();
    if (this.bytes.length === 0) this.emptied();
    return byte;
  }

  clear(): void {
    this.bytes.clear();
  }

  toBytes(): Uint8Array {
    return this.bytes.toBytes();
  }
}
