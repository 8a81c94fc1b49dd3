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
/** The code of F12. From there to the prefixes no code is a key. */
const LAST_PLAIN_KEY = 0x58;

describe("Ps2Input on v86's keyboard controller", () => {
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
    expect(read()).toEqual([
      [false, 0x1e],
      [false, 0x9e],
    ]);
  });

  it("sends mouse motion with the screen's down as the mouse's minus, in steps the mouse can express, and buttons once", () => {
    input.sendMouse(200, 3, [true, false, false]);
    input.sendMouse(0, 0, [true, false, false]);
    const bytes = read();
    expect(bytes.every(([mouse]) => mouse)).toBe(true);
    expect(bytes.map(([, byte]) => byte)).toEqual([0x09, 0, 0, 0x29, 127, 0xfd, 0x09, 73, 0]);
    input.sendMouse(0, 0, [false, false, false]);
    expect(read().map(([, byte]) => byte)).toEqual([0x08, 0, 0]);
  });

  /** Moves the machine's state to a target: the same device, first put into another state, with a new input. */
  function move(): void {
    input.setRunning(false);
    const saved = input.saveQueues();
    const state = structuredClone(ps2.get_state());
    guest.io.port_write8(STATUS, 0x20);
    ps2.set_state(state);
    input.dispose();
    input = new Ps2Input(instance.bus, ps2, clock);
    input.restoreQueues(saved);
    input.setRunning(true);
  }

  /** Everything the guest reads from now on. */
  async function readAll(): Promise<[boolean, number][]> {
    const bytes: [boolean, number][] = [];
    for (;;) {
      bytes.push(...read());
      if (clock.pending === 0) return bytes;
      await clock.advance(5);
    }
  }

  /** The keys that are down after these bytes, as an operating system follows them, and the buttons of the last mouse packet. */
  function pressed(bytes: readonly [boolean, number][]): { keys: string[]; buttons: number } {
    const keys = new Set<string>();
    let prefix = '';
    for (const [mouse, byte] of bytes) {
      if (mouse) continue;
      if (byte === 0xe0) prefix = 'e0 ';
      else {
        if ((byte & 0x80) === 0) keys.add(`${prefix}${byte}`);
        else keys.delete(`${prefix}${byte & 0x7f}`);
        prefix = '';
      }
    }
    const packets = bytes.filter(([mouse]) => mouse).map(([, byte]) => byte);
    return { keys: [...keys], buttons: (packets.at(-3) ?? 0) & 7 };
  }

  it.each([
    ['Ctrl', [0x1d]],
    ['Shift', [0x2a]],
    ['Alt', [0x38]],
    ['the right Ctrl', [0xe0, 0x1d]],
    ['AltGr', [0xe0, 0x38]],
    ['Ctrl, Alt and an arrow', [0x1d, 0x38, 0xe0, 0x4b]],
    ['PrintScreen', [0xe0, 0x2a, 0xe0, 0x37]],
  ])('lets go of %s when the VM moves, whether the guest has read it or not', async (_, codes) => {
    for (const readBefore of [true, false]) {
      input.sendScancodes(codes);
      const before = readBefore ? read() : [];
      move();
      const bytes = [...before, ...(await readAll())];
      expect(bytes.map(([, byte]) => byte).slice(0, codes.length)).toEqual(codes);
      expect(pressed(bytes).keys).toEqual([]);
    }
  });

  it('lets go of a mouse button when the VM moves, and motion at the target does not press it again', async () => {
    input.sendMouse(0, 0, [true, false, true]);
    expect(pressed(read()).buttons).toBe(3);
    move();
    expect(pressed(await readAll()).buttons).toBe(0);
    input.sendMouse(5, 0, [false, false, false]);
    expect(pressed(await readAll()).buttons).toBe(0);
  });

  it('has nothing pressed after a move, whatever was pressed, read and let go before it', async () => {
    const key = fc.constantFrom([0x1e], [0x1d], [0x2a], [0x38], [0xe0, 0x1d], [0xe0, 0x48], [0xe0, 0x2a, 0xe0, 0x37], [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
    const up = (codes: readonly number[]): number[] => (codes[0] === 0xe1 ? [] : codes.map((code) => (code === 0xe0 ? code : code | 0x80)));
    const step = fc.oneof(
      fc.record({ kind: fc.constantFrom('down', 'up'), key }),
      fc.record({ kind: fc.constant('read'), most: fc.nat(9) }),
      fc.record({ kind: fc.constant('buttons'), buttons: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const bytes: [boolean, number][] = [];
        for (const one of steps) {
          if ('key' in one) input.sendScancodes(one.kind === 'down' ? one.key : up(one.key));
          else if ('most' in one) bytes.push(...read(one.most));
          else input.sendMouse(0, 0, one.buttons);
        }
        move();
        bytes.push(...(await readAll()));
        expect(pressed(bytes)).toEqual({ keys: [], buttons: 0 });
      }),
      { numRuns: 100 },
    );
  });

  it('leaves keys and buttons down if the VM runs on where it was', async () => {
    input.sendScancodes([0x1d]);
    input.sendMouse(0, 0, [true, false, false]);
    const bytes = read();
    input.setRunning(false);
    input.saveQueues();
    input.setRunning(true);
    bytes.push(...(await readAll()));
    expect(pressed(bytes)).toEqual({ keys: ['29'], buttons: 1 });
  });

  it('lets go of a key and a button that go up while the machine is stopped, once it runs on', async () => {
    input.sendScancodes([0x1d]);
    input.sendMouse(0, 0, [true, false, false]);
    const bytes = read();
    input.setRunning(false);
    input.sendScancodes([0x9d]);
    input.sendMouse(0, 0, [false, false, false]);
    input.setRunning(true);
    bytes.push(...(await readAll()));
    expect(pressed(bytes)).toEqual({ keys: [], buttons: 0 });
  });

  it('lets go of everything when told to', async () => {
    input.sendScancodes([0x2a, 0xe0, 0x38]);
    input.sendMouse(0, 0, [false, true, false]);
    const bytes = read();
    input.releaseAll();
    bytes.push(...(await readAll()));
    expect(pressed(bytes)).toEqual({ keys: [], buttons: 0 });
  });

  it('moves what the guest has not read, wherever the move falls', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(LAST_PLAIN_KEY), { maxLength: 200 }), fc.nat(20), fc.nat(20), (keys, moves, readBefore) => {
        const codes = keys.flatMap((key) => [key, key | 0x80]);
        input.sendScancodes(codes);
        for (let n = 0; n < moves; n++) input.sendMouse(n + 1, 0, [false, false, false]);
        const got = read(readBefore);
        move();
        for (;;) {
          const more = read();
          got.push(...more);
          input.setRunning(false);
          input.setRunning(true);
          if (more.length === 0) break;
        }
        const mouse = got.filter(([fromMouse]) => fromMouse).map(([, byte]) => byte);
        expect(got.filter(([fromMouse]) => !fromMouse).map(([, byte]) => byte)).toEqual(codes);
        expect(mouse).toEqual(Array.from({ length: moves }, (_, n) => [8, n + 1, 0]).flat());
      }),
      { numRuns: 60 },
    );
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
    input.sendScancodes(new Array<number>(40 * 1024).fill(0x1e));
    input.sendScancodes([0x1f]);
    expect(input.saveQueues()).not.toContain(0x1f);
  });

  it('lets go of a key even when far too many wait', () => {
    input.setRunning(false);
    input.sendScancodes([0x1d]);
    input.sendScancodes(new Array<number>(40 * 1024 - 1).fill(0x9e));
    input.sendScancodes([0x1f, 0x9f, 0x9d]);
    const saved = input.saveQueues();
    expect([...saved.slice(-2)]).toEqual([0x9e, 0x9d]);
  });
});
