import fc from 'fast-check';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MachineError } from './machine-error.ts';
import { Ps2Input, type Ps2Like } from './ps2-input.ts';
import { ManualClock } from './testing/manual-clock.ts';
import { startDevices, type GuestSide } from './testing/real-devices.ts';
import type { V86Instance } from './v86-api.ts';

const DATA = 0x60;
const STATUS = 0x64;
const OUTPUT_FULL = 1;
const FROM_MOUSE = 0x20;

describe('Ps2Input on v86\'s keyboard controller', () => {
  let instance: V86Instance;
  let guest: GuestSide;
  let ps2: Ps2Like & { get_state(): unknown[]; set_state(state: unknown[]): void };
  let clock: ManualClock;
  let input: Ps2Input;

  beforeAll(async () => {
    ({ instance, guest } = await startDevices());
    ps2 = instance.v86.cpu.devices.ps2 as unknown as typeof ps2;
  });

  beforeEach(() => {
    clock = new ManualClock();
    input = new Ps2Input(instance.bus, ps2, clock);
    // Enable the keyboard, then the mouse, as a driver does.
    guest.io.port_write8(DATA, 0xf4);
    guest.io.port_write8(STATUS, 0xd4);
    guest.io.port_write8(DATA, 0xf4);
    read();
    input.setRunning(true);
    return () => input.dispose();
  });

  /** What the guest reads until the controller is empty: [from the mouse, byte]. */
  function read(most = Infinity): [boolean, number][] {
    const bytes: [boolean, number][] = [];
    for (;;) {
      const status = guest.io.port_read8(STATUS);
      if ((status & OUTPUT_FULL) === 0 || bytes.length >= most) return bytes;
      bytes.push([(status & FROM_MOUSE) !== 0, guest.io.port_read8(DATA)]);
    }
  }

  it('gives many keys to the guest in order, without overrunning the controller', async () => {
    const codes = Array.from({ length: 3000 }, (_, at) => (at * 7) & 0x7f);
    input.sendScancodes(codes);
    const got: number[] = [];
    while (got.length < codes.length) {
      const some = read();
      expect(some.length).toBeGreaterThan(0);
      got.push(...some.map(([, byte]) => byte));
      await clock.advance(5);
    }
    expect(got).toEqual(codes);
    expect(clock.pending).toBe(0);
  });

  it('keeps keys pressed while the machine is stopped', () => {
    input.setRunning(false);
    input.sendScancodes([0x1e, 0x9e]);
    expect(read()).toEqual([]);
    input.setRunning(true);
    expect(read()).toEqual([[false, 0x1e], [false, 0x9e]]);
  });

  it('sends mouse motion with the screen\'s down as the mouse\'s minus, in steps the mouse can express, and buttons once', () => {
    input.sendMouse(200, 3, [true, false, false]);
    input.sendMouse(0, 0, [true, false, false]);
    const bytes = read();
    expect(bytes.every(([mouse]) => mouse)).toBe(true);
    expect(bytes.map(([, byte]) => byte)).toEqual([0x09, 0, 0, 0x29, 127, 0xfd, 0x09, 73, 0]);
    input.sendMouse(0, 0, [false, false, false]);
    expect(read().map(([, byte]) => byte)).toEqual([0x08, 0, 0]);
  });

  it('moves what the guest has not read, wherever the move falls', () => {
    fc.assert(fc.property(fc.array(fc.nat(127), { maxLength: 200 }), fc.nat(20), fc.nat(20), (codes, moves, readBefore) => {
      input.sendScancodes(codes);
      for (let n = 0; n < moves; n++) input.sendMouse(n + 1, 0, [false, false, false]);
      const got = read(readBefore);
      input.setRunning(false);
      const saved = input.saveQueues();
      const state = structuredClone(ps2.get_state());
      // The target, on the same device, in another state.
      guest.io.port_write8(STATUS, 0x20);
      ps2.set_state(state);
      input.restoreQueues(saved);
      input.setRunning(true);
      for (;;) {
        const more = read();
        got.push(...more);
        input.setRunning(false);
        input.setRunning(true);
        if (more.length === 0) break;
      }
      const keys = got.filter(([mouse]) => !mouse).map(([, byte]) => byte);
      const mouse = got.filter(([fromMouse]) => fromMouse).map(([, byte]) => byte);
      expect(keys).toEqual(codes);
      expect(mouse).toEqual(Array.from({ length: moves }, (_, n) => [8, n + 1, 0]).flat());
    }), { numRuns: 60 });
  });

  it('refuses damaged queues', () => {
    input.sendScancodes([1, 2, 3]);
    const saved = input.saveQueues();
    for (const bytes of [saved.slice(0, -1), saved.slice(0, 3), new Uint8Array(0), new Uint8Array([...saved, 0]), new Uint8Array(saved.length).fill(255)]) {
      expect(() => input.restoreQueues(bytes)).toThrow(MachineError);
    }
    read();
  });

  it('drops keys as a whole when far too many wait', () => {
    input.setRunning(false);
    input.sendScancodes(new Array<number>(16 * 1024).fill(0x1e));
    input.sendScancodes([0x1f]);
    expect(input.saveQueues()).not.toContain(0x1f);
  });
});
