/** How the real guest ends, and how it does not. */
import { decodeBaseSnapshot } from './base-snapshot.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { createMachine } from './create-machine.ts';
import type { Machine } from './machine.ts';
import { GuestConsole } from './testing/guest-console.ts';
import { loadGuestParts, type GuestParts } from './testing/guest-parts.ts';
import { move } from './testing/move.ts';

const guest = loadGuestParts();
/** A guest on a busy host may need many times its usual seconds. */
const GUEST_LIMIT_MS = 300_000;
const CRASH = 'echo c > /proc/sysrq-trigger\n';
const PANICKED = { kind: 'panicked', sentence: "The guest's kernel panicked: sysrq triggered crash." };

const opened: Machine[] = [];

afterEach(() => {
  for (const machine of opened.splice(0)) machine.discard();
});

async function fresh(parts: GuestParts): Promise<Machine> {
  const machine = await createMachine(parts.machineParts());
  opened.push(machine);
  machine.loadBaseSnapshot(await decodeBaseSnapshot(parts.snapshot));
  return machine;
}

async function started(parts: GuestParts): Promise<{ machine: Machine; console: GuestConsole }> {
  const machine = await fresh(parts);
  const console = new GuestConsole(machine);
  await machine.run(0);
  await console.begin();
  return { machine, console };
}

function poweredOff(machine: Machine): Promise<void> {
  if (machine.state === 'powered-off') return Promise.resolve();
  return new Promise((resolve) => machine.onState((state) => state === 'powered-off' && resolve()));
}

/** The screen has no events: it is looked at once in each turn of the event loop. */
async function firmwareRuns(machine: Machine): Promise<void> {
  const shown = (): string => machine.screen.text()?.join('\n') ?? '';
  while (!shown().includes('SeaBIOS') || shown().includes('guest#')) await new Promise((resolve) => setImmediate(resolve));
}

describe.skipIf(guest === null)('a guest', () => {
  if (guest === null) return;

  it(
    "ends when its kernel panics, with the kernel's reason, after it has printed everything",
    async () => {
      const { machine, console } = await started(guest);
      const waiting = poweredOff(machine);
      console.type(CRASH);
      await waiting;
      expect(machine.end).toEqual(PANICKED);
      expect(new TextDecoder().decode(machine.scrollback())).toMatch(/Call Trace:[^]*---\[ end Kernel panic - not syncing: sysrq triggered crash \]---/);
      await expect(machine.alive()).rejects.toMatchObject({ code: 'machine-state', message: expect.stringContaining('panicked') as string });
      machine.reset();
      await machine.alive();
      expect(machine.end).toBe(null);
    },
    GUEST_LIMIT_MS,
  );

  it(
    'goes on when a program prints what a kernel prints that panics',
    async () => {
      const { machine, console } = await started(guest);
      const joke = 'Kernel panic - not syncing: joke';
      await console.run(`echo '${joke}'; echo '---[ end ${joke} ]---'; echo '${joke}' > /dev/kmsg; dmesg -n 8; echo '<0>---[ end ${joke} ]---' > /dev/kmsg`);
      await console.run('dd if=/dev/zero of=/dev/null bs=1M count=200 2>/dev/null');
      expect(machine.state).toBe('running');
      expect(machine.end).toBe(null);
    },
    GUEST_LIMIT_MS,
  );

  it.each(['Trigger a crash', 'Call Trace', 'Kernel Offset'])(
    'that panics while it is moved ends at the source or at the target, stopped at "%s"',
    async (moment) => {
      const { machine, console } = await started(guest);
      const target = await fresh(guest);
      const from = console.text.length;
      console.type(CRASH);
      await console.until(new RegExp(moment), from);
      await machine.pause();
      if (machine.state !== 'powered-off') {
        const ended = poweredOff(target);
        // The last word of a target that runs: it lived, and then it ended.
        await move(machine, target, () => Promise.resolve(), 0).catch(() => undefined);
        await ended;
      }
      expect(machine.end ?? target.end).toEqual(PANICKED);
    },
    GUEST_LIMIT_MS,
  );

  it(
    'that panics on another host than it began on ends there',
    async () => {
      const { machine, console } = await started(guest);
      const target = await fresh(guest);
      await move(machine, target, () => console.ready(), 1);
      const ended = poweredOff(target);
      new GuestConsole(target).type(CRASH);
      await ended;
      expect(target.end).toEqual(PANICKED);
      expect(machine.state).toBe('stopped');
    },
    GUEST_LIMIT_MS,
  );

  it(
    'goes on when its kernel restarts after a panic, by a triple fault at that',
    async () => {
      const { machine, console } = await started(guest);
      await console.run('echo 1 > /proc/sys/kernel/panic; echo triple > /sys/kernel/reboot/type');
      console.type(CRASH);
      await console.until(/Rebooting in 1 seconds/);
      await firmwareRuns(machine);
      expect(machine.state).toBe('running');
    },
    GUEST_LIMIT_MS,
  );
});
