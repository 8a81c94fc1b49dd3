/** The device adapters with the real guest at the other end. */
import { decodeBaseSnapshot } from './base-snapshot.ts';
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { MacAddress } from '../shared/ids.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import { createMachine } from './create-machine.ts';
import type { BaseDisk, Machine } from './machine.ts';
import { GuestConsole } from './testing/guest-console.ts';
import { loadGuestParts, type GuestParts } from './testing/guest-parts.ts';
import { move } from './testing/move.ts';

const guest = loadGuestParts();
/** A guest on a busy host may need many times its usual seconds. */
const GUEST_LIMIT_MS = 300_000;
const MAC = '02:5a:00:00:00:02' as MacAddress;
const MIB = 2 ** 20;
const PEER = '02:5a:00:00:00:01';

const opened: Machine[] = [];

afterEach(() => {
  for (const machine of opened.splice(0)) machine.discard();
});

async function fresh(parts: GuestParts, disk?: BaseDisk): Promise<Machine> {
  const machine = await createMachine({ ...parts.machineParts(), ...(disk === undefined ? {} : { disk }) });
  opened.push(machine);
  machine.loadBaseSnapshot(await decodeBaseSnapshot(parts.snapshot));
  return machine;
}

async function started(parts: GuestParts, disk?: BaseDisk): Promise<{ machine: Machine; console: GuestConsole }> {
  const machine = await fresh(parts, disk);
  const console = new GuestConsole(machine);
  await machine.run(0);
  await console.begin();
  return { machine, console };
}

function lines(bytes: number): string {
  let text = '';
  for (let number = 0; text.length < bytes; number++) text += `${number} ${'the quick brown fox '.repeat(number % 4)}\n`;
  return text;
}

const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

function macBytes(mac: string): number[] {
  return mac.split(':').map((byte) => Number.parseInt(byte, 16));
}

/** A frame of an Ethernet type that Linux counts and then drops. */
function countedFrame(length: number, number: number): Uint8Array {
  const frame = new Uint8Array(length);
  frame.set(macBytes(MAC));
  frame.set(macBytes(PEER), 6);
  frame.set([0x88, 0xb5], 12);
  new DataView(frame.buffer).setUint32(14, number);
  return frame;
}

/** A place on the disk, in MiB, where the guest has written nothing and read little. */
function unwrittenMebibyte(machine: Machine): number {
  const { ramPages, videoPages } = machine.space;
  const written = machine.differsFromBase();
  const isBase = (place: number): boolean =>
    Array.from({ length: MIB / PAGE_SIZE }, (_, at) => ramPages + videoPages + place * (MIB / PAGE_SIZE) + at).every((page) => !written.has(page));
  const place = [7, 6, 5, 4, 3, 8].find(isBase);
  if (place === undefined) throw new Error('The guest has written all over its disk');
  return place;
}

async function askAgent(machine: Machine, line: string, answer: RegExp): Promise<string> {
  let heard = '';
  return new Promise((resolve) => {
    const listening = machine.agent.onData((bytes) => {
      heard += new TextDecoder().decode(bytes);
      if (!answer.test(heard)) return;
      listening.dispose();
      resolve(heard);
    });
    machine.agent.write(new TextEncoder().encode(`${line}\n`));
  });
}

describe.skipIf(guest === null)("the guest's devices", () => {
  if (guest === null) return;

  it(
    'restores the devices of its base as often as it likes, until something happens, and is the same machine all the while',
    async () => {
      const machine = await fresh(guest);
      const saved = await machine.saveDevices();
      for (let turn = 0; turn < 3; turn++) machine.restoreBaseDevices();
      const again = await machine.saveDevices();
      // Only the checksum and one 8-byte number may differ: the host's time when the state was saved.
      expect([again.length, saved.filter((byte, at) => byte !== again[at]).length <= 4 + 8]).toEqual([saved.length, true]);
      expect(machine.differsFromBase().count()).toBe(0);
      const console = new GuestConsole(machine);
      await machine.run(0);
      await console.begin();
      expect(await console.run('echo $((40 + 2))')).toContain('42');
      await machine.pause();
      expect(() => machine.restoreBaseDevices()).toThrow('just loaded');
    },
    GUEST_LIMIT_MS,
  );

  it(
    'a paste of 32 KiB arrives whole, also when nobody reads it for a while',
    async () => {
      const { console } = await started(guest);
      const text = lines(32 * 1024);
      await console.run('stty -echo');
      const from = console.text.length;
      console.type('sleep 1; cat > /tmp/paste; sha256sum /tmp/paste\n');
      console.type(text);
      console.type('\x04');
      expect(await console.until(/[0-9a-f]{64}/, from)).toContain(sha256(text));
    },
    GUEST_LIMIT_MS,
  );

  it(
    'a paste goes on, with nothing lost and nothing twice, while the guest moves',
    async () => {
      const source = await started(guest);
      const text = lines(12 * 1024);
      await source.console.run('stty -echo; : > /tmp/paste');
      // A reader slow enough that most of the paste is still on its way when the guest moves.
      source.console.type('while read -r line; do echo "$line"; [ "$line" = end ] && break; done > /tmp/paste; sha256sum /tmp/paste\n');
      source.console.type(`${text}end\n`);
      const target = await fresh(guest);
      const console = new GuestConsole(target);
      await move(source.machine, target, () => Promise.resolve(), 1);
      const wanted = `${text.replaceAll(/ +\n/g, '\n')}end\n`;
      expect(await console.until(/[0-9a-f]{64}/)).toContain(sha256(wanted));
    },
    GUEST_LIMIT_MS,
  );

  it(
    "no frame is lost between the card and the guest's driver, across full rings and pauses",
    async () => {
      const { machine, console } = await started(guest);
      const { network } = machine;
      expect(network.deliver(countedFrame(60, 0))).toBe(false);
      network.setMac(MAC);
      const loaded = askAgent(
        machine,
        `identity mac=${MAC} hostname=vm ip=10.0.0.2/24 gateway=10.0.0.1 dns=10.0.0.1 time=${Date.now()} seed=${'ab'.repeat(64)} password=secret12`,
        /ok identity|error.*\n/,
      );
      expect(await loaded).toContain('ok identity');
      expect(await console.run('cat /sys/class/net/eth0/address')).toContain(MAC);
      const received = async (): Promise<number> => Number(/\d+/.exec(await console.run('cat /sys/class/net/eth0/statistics/rx_packets'))?.[0]);
      const before = await received();
      const FRAMES = 6000;
      let sent = 0;
      let refusals = 0;
      await new Promise<void>((resolve) => {
        const pump = (): void => {
          while (sent < FRAMES) {
            if (!network.deliver(countedFrame(60 + (sent % 1400), sent))) {
              refusals++;
              // The ring is full, or the machine was stopped: both end with onReady.
              if (refusals % 7 === 0) void machine.pause().then(() => machine.resume());
              return;
            }
            sent++;
          }
          resolve();
        };
        network.onReady(pump);
        pump();
      });
      expect(refusals).toBeGreaterThan(7);
      // What sits in the ring is taken when the guest gets to it.
      let after = await received();
      for (let attempt = 0; attempt < 20 && after < before + FRAMES; attempt++) after = await received();
      expect(after - before).toBe(FRAMES);
    },
    GUEST_LIMIT_MS,
  );

  it(
    'the guest waits for a disk that is away, and then reads what is on it',
    async () => {
      const real = guest.machineParts().disk;
      let away = false;
      const disk: BaseDisk = {
        byteLength: real.byteLength,
        chunkBytes: real.chunkBytes,
        read: (offset, length) => (away ? Promise.reject(new Error('The server is away.')) : real.read(offset, length)),
        dispose: () => real.dispose(),
      };
      const { machine, console } = await started(guest, disk);
      const troubles: string[] = [];
      const troubled = new Promise<void>((resolve) =>
        machine.onTrouble((sentence) => {
          troubles.push(sentence);
          if (troubles.length === 3) resolve();
        }),
      );
      await console.run('echo 3 > /proc/sys/vm/drop_caches');
      const place = unwrittenMebibyte(machine);
      away = true;
      const from = console.text.length;
      console.type(`dd if=/dev/sda bs=1M skip=${place} count=1 2>/dev/null | sha256sum\n`);
      await troubled;
      expect(troubles[0]).toMatch(/^The guest's disk cannot be read: The server is away\. The guest has waited for bytes \d+-\d+/);
      expect(console.text.slice(from)).not.toMatch(/[0-9a-f]{64}/);
      away = false;
      expect(await console.until(/[0-9a-f]{64}/, from)).toContain(sha256(await real.read(place * MIB, MIB)));
      expect(troubles.at(-1)).toBe("The guest's disk can be read again.");
      real.dispose();
    },
    GUEST_LIMIT_MS,
  );
});
