import fc from 'fast-check';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FIFO_BYTES, INPUT_LIMIT_BYTES, SCROLLBACK_BYTES, UartSerialPort } from './serial-port.ts';
import { settled } from './testing/manual-clock.ts';
import { startDevices, type GuestSide } from './testing/real-devices.ts';
import type { V86Instance } from './v86-api.ts';

const DATA = 0x3f8;
const INTERRUPT_ENABLE = 0x3f9;
const FIFO_CONTROL = 0x3fa;
const LINE_STATUS = 0x3fd;
const DATA_READY = 1;

function pattern(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 13 + (at >> 8) + seed) & 0xff);
}

describe("UartSerialPort on v86's UART", () => {
  let instance: V86Instance;
  let guest: GuestSide;
  let port: UartSerialPort;

  beforeAll(async () => {
    ({ instance, guest } = await startDevices());
  });

  beforeEach(() => {
    port = new UartSerialPort(instance.bus, instance.v86.cpu.devices.uart0, 0);
    port.restoreQueue(new Uint8Array(0));
    guest.io.port_write8(FIFO_CONTROL, 1);
    guest.io.port_write8(INTERRUPT_ENABLE, 1);
    return () => port.dispose();
  });

  /** What the guest's driver does in one interrupt: it reads while there is data. */
  function readFifo(): number[] {
    const bytes: number[] = [];
    while ((guest.io.port_read8(LINE_STATUS) & DATA_READY) !== 0) bytes.push(guest.io.port_read8(DATA));
    return bytes;
  }

  function send(bytes: Uint8Array): void {
    for (const byte of bytes) guest.io.port_write8(DATA, byte);
  }

  it('gives a paste of 64 KiB to the guest whole and in order, a FIFO at a time', async () => {
    port.setRunning(true);
    const paste = pattern(64 * 1024);
    port.write(paste);
    const got: number[] = [];
    while (got.length < paste.length) {
      const some = readFifo();
      expect(some.length).toBeGreaterThan(0);
      expect(some.length).toBeLessThanOrEqual(FIFO_BYTES);
      got.push(...some);
      await settled();
    }
    expect(Buffer.compare(Uint8Array.from(got), paste)).toBe(0);
    expect(readFifo()).toEqual([]);
    expect(port.queued).toBe(0);
  });

  it('keeps what is typed while the machine is stopped, and gives it when it runs', () => {
    port.write(pattern(10));
    expect(readFifo()).toEqual([]);
    port.setRunning(true);
    expect(readFifo()).toEqual([...pattern(10)]);
  });

  it("moves the input the guest has not read, the FIFO's included, wherever the move falls", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(300), fc.nat(300), fc.nat(80), async (before, after, read) => {
        port.restoreQueue(new Uint8Array(0));
        port.setRunning(true);
        port.write(pattern(before));
        const got: number[] = [];
        for (let n = 0; n < read && (guest.io.port_read8(LINE_STATUS) & DATA_READY) !== 0; n++) got.push(guest.io.port_read8(DATA));
        port.setRunning(false);
        const saved = port.saveQueue();
        const { uart0 } = instance.v86.cpu.devices as unknown as { uart0: { get_state(): unknown[]; set_state(state: unknown[]): void } };
        const state = structuredClone(uart0.get_state());
        // The target, on the same devices: its own content must not show through.
        port.restoreQueue(pattern(5, 7));
        uart0.set_state(state);
        port.restoreQueue(saved);
        port.write(pattern(after, 99));
        port.setRunning(true);
        while (got.length < before + after) {
          got.push(...readFifo());
          await settled();
        }
        expect(got).toEqual([...pattern(before), ...pattern(after, 99)]);
        expect(readFifo()).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('does not promise the guest data that is not there, when a state without its queue is restored', () => {
    port.setRunning(true);
    port.write(pattern(3));
    expect(guest.io.port_read8(LINE_STATUS) & DATA_READY).toBe(DATA_READY);
    port.setRunning(false);
    port.restoreQueue(new Uint8Array(0));
    expect(guest.io.port_read8(LINE_STATUS) & DATA_READY).toBe(0);
    port.setRunning(true);
    expect(readFifo()).toEqual([]);
  });

  it('says once that input beyond its bound is dropped, and takes more when the guest has read', async () => {
    const troubles: string[] = [];
    port.onTrouble((sentence) => troubles.push(sentence));
    port.setRunning(true);
    expect(port.room).toBe(INPUT_LIMIT_BYTES);
    port.write(new Uint8Array(INPUT_LIMIT_BYTES));
    const room = port.room;
    expect(room).toBeLessThanOrEqual(FIFO_BYTES);
    port.write(new Uint8Array(room));
    expect(port.room).toBe(0);
    expect(troubles).toEqual([]);
    port.write(new Uint8Array(1000));
    port.write(new Uint8Array(1000));
    expect(troubles).toEqual(['The guest does not read its serial input: 1024 KiB wait for it, and what is typed now is dropped.']);
    expect(port.queued).toBeLessThanOrEqual(INPUT_LIMIT_BYTES + FIFO_BYTES);
    readFifo();
    await settled();
    const before = port.queued;
    port.write(new Uint8Array(10));
    expect(port.queued).toBe(before + 10);
    port.restoreQueue(new Uint8Array(0));
  });

  it("gives out the guest's output in order, one batch a turn", async () => {
    const batches: Uint8Array[] = [];
    port.onData((bytes) => batches.push(bytes));
    const output = pattern(10_000);
    send(output.subarray(0, 6000));
    send(output.subarray(6000, 9000));
    await settled();
    send(output.subarray(9000));
    await settled();
    expect(batches.map((batch) => batch.length)).toEqual([9000, 1000]);
    expect(Buffer.concat(batches).equals(output)).toBe(true);
  });

  it('keeps the last output for whoever looks later, and moves it', () => {
    const output = pattern(SCROLLBACK_BYTES + 5000);
    send(output);
    expect(Buffer.compare(port.scrollback(), output.subarray(5000))).toBe(0);
    port.restoreScrollback(pattern(SCROLLBACK_BYTES + 1, 3));
    expect(Buffer.compare(port.scrollback(), pattern(SCROLLBACK_BYTES + 1, 3).subarray(1))).toBe(0);
    port.restoreScrollback(pattern(100, 3));
    send(pattern(10));
    expect(port.scrollback()).toEqual(Uint8Array.from([...pattern(100, 3), ...pattern(10)]));
  });

  it('delivers output that was under way before the queue is saved', () => {
    const batches: Uint8Array[] = [];
    port.onData((bytes) => batches.push(bytes));
    send(pattern(3));
    port.saveQueue();
    expect(batches).toEqual([pattern(3)]);
  });

  it('hears nothing more from v86 once it is disposed', async () => {
    const batches: Uint8Array[] = [];
    port.onData((bytes) => batches.push(bytes));
    port.dispose();
    send(pattern(3));
    await settled();
    expect(batches).toEqual([]);
  });
});
