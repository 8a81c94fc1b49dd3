import { decodeBaseSnapshot } from './base-snapshot.ts';
import { hostsApart, livingOn, onHost, type ClockShift } from './testing/shifted-clocks.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { createMachine } from './create-machine.ts';
import type { BaseDisk, Machine } from './machine.ts';
import { GuestConsole } from './testing/guest-console.ts';
import { loadGuestParts, type GuestParts } from './testing/guest-parts.ts';
import { move } from './testing/move.ts';
import { differingPages } from './testing/write-oracle.ts';

const guest = loadGuestParts();
/** A guest on a busy host may need many times its usual seconds. */
const GUEST_LIMIT_MS = 300_000;
const HERE: ClockShift = { monotonicMs: 0, wallMs: 0 };

const opened: Machine[] = [];

afterEach(() => {
  for (const machine of opened.splice(0)) machine.discard();
});

/** A machine at the base snapshot, on a host with these clocks. */
async function fresh(parts: GuestParts, clocks = HERE): Promise<Machine> {
  const machine = livingOn(clocks, await onHost(clocks, () => createMachine(parts.machineParts())));
  opened.push(machine);
  machine.loadBaseSnapshot(await decodeBaseSnapshot(parts.snapshot));
  return machine;
}

async function started(parts: GuestParts, clocks = HERE): Promise<{ machine: Machine; console: GuestConsole }> {
  const machine = await fresh(parts, clocks);
  const console = new GuestConsole(machine);
  await machine.run(0);
  await console.begin();
  return { machine, console };
}

/** The guest's clock showed `uptimeMs` at some moment between these two times of this host's clock. */
interface TimeReading {
  readonly uptimeMs: number;
  readonly notBefore: number;
  readonly notAfter: number;
}

async function readTime(console: GuestConsole): Promise<TimeReading> {
  const notBefore = performance.now();
  const output = await console.run('cat /proc/uptime');
  return { uptimeMs: Number(/^[\d.]+/m.exec(output)?.[0]) * 1000, notBefore, notAfter: performance.now() };
}

/**
 * Whether a constant offset between guest time and host time explains both readings. The offset may also have grown
 * between them, because the guest's time stood still for up to `lostMs`.
 */
function sameDistance(one: TimeReading, other: TimeReading, lostMs = 0): boolean {
  /** /proc/uptime counts in hundredths. */
  const RESOLUTION_MS = 10;
  const [low, high] = [one.uptimeMs - one.notAfter, one.uptimeMs - one.notBefore + RESOLUTION_MS];
  const [otherLow, otherHigh] = [other.uptimeMs - other.notAfter, other.uptimeMs + lostMs - other.notBefore + RESOLUTION_MS];
  return low <= otherHigh && otherLow <= high;
}

/** Seconds by which the real-time clock is ahead of the guest's own clock: at least and at most. */
async function rtcAhead(console: GuestConsole): Promise<{ least: number; most: number }> {
  const output = await console.run('date +%s; cat /sys/class/rtc/rtc0/since_epoch; date +%s');
  const [before = NaN, rtc = NaN, after = NaN] = [...output.matchAll(/^\d+$/gm)].map(Number);
  return { least: rtc - after - 1, most: rtc - before + 1 };
}

/** One line of ticker, whole. */
const TICK = /^ticker \d+ gap=\d+\r\n/m;
const ticks = (text: string): number[] => [...text.matchAll(/^ticker (\d+) gap=\d+\r$/gm)].map((match) => Number(match[1]));

describe('createMachine', () => {
  it('refuses a memory size that v86 would round, before it starts anything', async () => {
    const nothing = new Uint8Array(0);
    const disk: BaseDisk = { byteLength: 4096, read: () => Promise.resolve(nothing), dispose: () => undefined };
    const emulator = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    await expect(createMachine({ emulator, bios: nothing, vgaBios: nothing, memoryBytes: 100_000, disk })).rejects.toMatchObject({ code: 'parts-invalid' });
  });
});

describe.skipIf(guest === null)('a machine', () => {
  if (guest === null) return;

  it(
    'starts from the base snapshot with no page that differs from it',
    async () => {
      const machine = await fresh(guest);
      expect(machine.state).toBe('stopped');
      expect(machine.differsFromBase().count()).toBe(0);
    },
    GUEST_LIMIT_MS,
  );

  it(
    'moves over three hosts with clocks far apart: every page arrives, and the guest notices nothing',
    async () => {
      const hosts = hostsApart([
        { monotonicMs: 20 * 60_000, wallMs: 0 },
        { monotonicMs: 0, wallMs: 90_000 },
        { monotonicMs: 5 * 3_600_000, wallMs: -3_600_000 },
        { monotonicMs: 60_000, wallMs: 5_000 },
      ]);
      let { machine, console } = await started(guest, hosts[0]);
      const first = await readTime(console);
      const rtc = await rtcAhead(console);
      await console.run('(sleep 2; cat /proc/uptime > /dev/shm/woke) 2>/dev/null &');
      console.type('ticker 20\n');
      await console.until(TICK);
      let untoldMs = 0;
      for (const host of hosts.slice(1)) {
        const target = await fresh(guest, host);
        const arrived = new GuestConsole(target);
        const figures = await move(machine, target, async () => {
          await console.until(TICK, console.text.length);
        });
        expect(figures.differing).toEqual([]);
        expect(figures.forgotten).toEqual([]);
        untoldMs += figures.untoldMs;
        await arrived.until(TICK);
        // The move may fall into the middle of a line: its rest is printed by the target.
        const numbers = ticks(console.text + arrived.text);
        expect(numbers.at(-1)).toBeGreaterThan(ticks(console.text).at(-1) ?? 0);
        expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
        machine.discard();
        machine = target;
        console = arrived;
      }
      console.type('\x03');
      await console.ready();
      expect(sameDistance(first, await readTime(console), untoldMs)).toBe(true);
      const rtcNow = await rtcAhead(console);
      expect(rtcNow.least).toBeLessThanOrEqual(rtc.most);
      expect(rtcNow.most).toBeGreaterThanOrEqual(rtc.least);
      const woke = await console.run('while [ ! -s /dev/shm/woke ]; do sleep 0.1; done; cat /dev/shm/woke');
      expect(Number.parseFloat(woke)).toBeGreaterThanOrEqual(first.uptimeMs / 1000 + 2);
      // After all hops, differsFromBase() still misses no page.
      await machine.pause();
      const differs = machine.differsFromBase();
      const unknown = differingPages(machine, await fresh(guest)).filter((page) => !differs.has(page));
      expect(unknown).toEqual([]);
    },
    GUEST_LIMIT_MS,
  );

  it(
    'carries input that the guest has not read to the next host',
    async () => {
      const { machine, console } = await started(guest);
      await console.run('stty -echo');
      await machine.pause();
      console.type('echo typed-while-stopped\n');
      const target = await fresh(guest);
      const arrived = new GuestConsole(target);
      await move(machine, target, () => Promise.resolve(), 1);
      await arrived.until(/^typed-while-stopped\r$/m);
      expect(new TextDecoder().decode(target.scrollback())).toContain('stty -echo');
    },
    GUEST_LIMIT_MS,
  );

  it(
    'lets guest time include a pause on one host',
    async () => {
      const { machine, console } = await started(guest);
      const before = await readTime(console);
      await machine.pause();
      expect(machine.state).toBe('stopped');
      const stoppedAt = performance.now();
      while (performance.now() < stoppedAt + 300) await machine.drainDisk();
      await machine.resume();
      expect(sameDistance(before, await readTime(console))).toBe(true);
    },
    GUEST_LIMIT_MS,
  );

  it(
    'goes on at the source when the move is given up after the devices were saved',
    async () => {
      const { machine, console } = await started(guest);
      await machine.startDirtyLog();
      await machine.pause();
      await machine.drainDisk();
      await machine.saveDevices();
      machine.stopDirtyLog();
      await machine.resume();
      await machine.alive();
      expect(await console.run('echo still-$((40 + 2))')).toContain('still-42');
    },
    GUEST_LIMIT_MS,
  );

  it(
    'executes no instruction while it is stopped',
    async () => {
      const { machine, console } = await started(guest);
      console.type('while :; do :; done\n');
      await machine.pause();
      const count = machine.instructionCount();
      await machine.saveDevices();
      await new Promise((resolve) => setImmediate(resolve));
      expect(machine.instructionCount()).toBe(count);
    },
    GUEST_LIMIT_MS,
  );

  it(
    'ends when the guest powers itself off, and starts again by its reset button',
    async () => {
      const { machine, console } = await started(guest);
      const ended = new Promise<void>((resolve) => {
        machine.onState((state) => {
          if (state === 'powered-off') resolve();
        });
      });
      console.type('poweroff\n');
      await ended;
      expect(machine.state).toBe('powered-off');
      await expect(machine.alive()).rejects.toMatchObject({ code: 'machine-state' });
      await expect(machine.resume()).rejects.toMatchObject({ code: 'machine-state' });
      machine.reset();
      await machine.alive();
      expect(machine.state).toBe('running');
    },
    GUEST_LIMIT_MS,
  );

  it(
    'reboots in place after a move to a host with other clocks',
    async () => {
      const { machine } = await started(guest, { monotonicMs: 3_600_000, wallMs: 0 });
      const target = await fresh(guest, HERE);
      const console = new GuestConsole(target);
      await move(machine, target, () => Promise.resolve(), 1);
      await console.ready();
      const booted = console.booted();
      console.type('reboot\n');
      await booted;
      // The time since the boot, not since some other tab was opened.
      const { uptimeMs } = await readTime(console);
      expect(uptimeMs).toBeLessThan(performance.now());
      expect(target.state).toBe('running');
    },
    GUEST_LIMIT_MS,
  );

  it(
    'refuses what its state does not allow, with a sentence',
    async () => {
      const { machine } = await started(guest);
      const refused = { name: 'MachineError', code: 'machine-state' };
      await expect(machine.saveDevices()).rejects.toMatchObject(refused);
      await expect(machine.takeDirty()).rejects.toMatchObject(refused);
      const base = await decodeBaseSnapshot(guest.snapshot);
      expect(() => machine.loadBaseSnapshot(base)).toThrow(/must be stopped/);
      await expect(machine.run(0)).rejects.toMatchObject(refused);
      expect(() => machine.writePages(new Uint32Array(0), new Uint8Array(0))).toThrow(/must be stopped/);
      machine.discard();
      expect(() => machine.differsFromBase()).toThrow(/discarded/);
      await expect(machine.alive()).rejects.toMatchObject(refused);
      expect(() => machine.discard()).not.toThrow();
    },
    GUEST_LIMIT_MS,
  );

  it(
    'takes one base snapshot only',
    async () => {
      const machine = await fresh(guest);
      const base = await decodeBaseSnapshot(guest.snapshot);
      expect(() => machine.loadBaseSnapshot(base)).toThrow(/into a new machine only/);
    },
    GUEST_LIMIT_MS,
  );

  it(
    'refuses a damaged device state before it changes anything',
    async () => {
      const { machine, console } = await started(guest);
      await machine.pause();
      const state = await machine.saveDevices();
      state[state.length >> 1] = (state[state.length >> 1] ?? 0) ^ 1;
      await expect(machine.restoreDevices(state)).rejects.toMatchObject({ code: 'state-invalid' });
      await machine.resume();
      expect(await console.run('echo still-$((40 + 2))')).toContain('still-42');
    },
    GUEST_LIMIT_MS,
  );
});
