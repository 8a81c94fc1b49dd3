/** Tests the x87 control word with which a moved PC calculates, not only the one that it reads back. */
import { decodeBaseSnapshot } from './base-snapshot.ts';
import { VirtualHost } from './testing/virtual-time.ts';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { saveBaseSnapshot } from './base-snapshot.ts';
import { createMachine } from './create-machine.ts';
import type { Machine } from './machine.ts';
import { compileProgram, latestResults, prepareBareMetal, resultCount, RESULT_WORDS, type BareMetal } from './testing/bare-metal.ts';
import { GuestConsole } from './testing/guest-console.ts';
import { loadGuestParts } from './testing/guest-parts.ts';
import { move } from './testing/move.ts';
import { moveTo, runSlices, startPc, stop, type TwinPc } from './testing/twin.ts';

/** All exceptions masked; bits 8-9 are the precision, 10-11 the rounding. */
const MASKED = 0x7f;
const DOWNWARD = 0x77f;
/** 1/3 as a single, rounded down and to nearest. */
const THIRD_DOWN = 0x3eaa_aaaa;
/** Moves under each control word. */
const MOVES = 4;
/** More than the millisecond a tick lasts: each tick is then some 100,003 instructions, with fewer results than their ring holds. */
const STEP_MS = 17 / 16;
const WORDS = Array.from({ length: 16 }, (_, control) => MASKED | (control << 8));
/** Words that x87_rounding (testing/bare-metal) leaves in each turn, and how many turns are looked at. */
const [PER_TURN, TURNS] = [10, 3];

/** A guest on a busy host may need many times its usual seconds. */
const GUEST_LIMIT_MS = 300_000;

const guest = loadGuestParts();
const opened: TwinPc[] = [];
let bare: BareMetal;

beforeAll(() => {
  bare = prepareBareMetal(guest?.emulator);
});

afterEach(() => {
  for (const { machine } of opened.splice(0)) machine.discard();
});

async function fresh(word: number): Promise<TwinPc> {
  const pc = await startPc(new VirtualHost(1000, STEP_MS), bare.parts(bare.emulator, 'x87_rounding', word));
  opened.push(pc);
  return pc;
}

async function started(word: number): Promise<TwinPc> {
  const pc = await fresh(word);
  await pc.host.at(() => pc.machine.run(0));
  await runSlices(pc, 1);
  return pc;
}

/** What the PC computes from now on, in the order of one turn of the workload. */
async function computed(pc: TwinPc): Promise<number[]> {
  await runSlices(pc, 1);
  const words = latestResults(pc.cpu, PER_TURN, TURNS);
  // The control word is the same all the time, so each turn gives the same.
  for (let at = PER_TURN; at < words.length; at++) expect(words[at]).toBe(words[at - PER_TURN]);
  return words.slice(0, PER_TURN);
}

describe('the x87 control word', () => {
  it('0x77f, set once: 1/3 stays 0x3eaaaaaa after a move', async () => {
    const source = await started(DOWNWARD);
    expect((await computed(source))[0]).toBe(THIRD_DOWN);
    const target = await fresh(DOWNWARD);
    await moveTo(source, target);
    expect((await computed(target))[0]).toBe(THIRD_DOWN);
  });

  it('every rounding and precision, over four moves each: no result is wrong', async () => {
    const seen = new Set<string>();
    let [here, there] = [await started(MASKED), await fresh(MASKED)];
    let [results, wrong] = [0, 0];
    for (const word of WORDS) {
      here.cpu.wm.exports.set_control_word(word);
      await runSlices(here, 1);
      const right = latestResults(here.cpu, PER_TURN, 1);
      seen.add(right.join());
      for (let move = 0; move < MOVES; move++) {
        await moveTo(here, there);
        await stop(here);
        [here, there] = [there, here];
        const before = resultCount(here.cpu);
        await runSlices(here, 1);
        // The turn in which it was moved is left out.
        expect(resultCount(here.cpu) - before).toBeLessThan(RESULT_WORDS);
        const turns = Math.floor((resultCount(here.cpu) - before) / PER_TURN) - 1;
        const words = latestResults(here.cpu, PER_TURN, turns);
        results += words.length;
        wrong += words.filter((result, at) => result !== right[at % PER_TURN]).length;
      }
    }
    expect(results).toBeGreaterThan(50_000);
    expect(wrong).toBe(0);
    // Four roundings at three precisions; the fourth precision is undefined and like the widest.
    expect(seen.size).toBe(12);
  });

  it("a PC that is brought to a base snapshot computes as the snapshot's", async () => {
    const source = await started(DOWNWARD);
    await stop(source);
    const snapshot = await source.host.at(() => saveBaseSnapshot(source.machine));
    const pc = await fresh(DOWNWARD);
    pc.machine.loadBaseSnapshot(await decodeBaseSnapshot(snapshot));
    await pc.host.at(() => pc.machine.run(0));
    expect((await computed(pc))[0]).toBe(THIRD_DOWN);
  });

  it('the instance does not keep the rounding of a PC that was there before', async () => {
    const source = await started(MASKED | 0x300);
    const before = await computed(source);
    const target = await started(DOWNWARD);
    await stop(target);
    await moveTo(source, target);
    expect(await computed(target)).toEqual(before);
  });

  it('a reset computes as the control word says that it leaves', async () => {
    const pc = await started(DOWNWARD);
    pc.host.at(() => pc.machine.reset());
    const { cpu } = pc;
    expect(cpu.fpu_control_word[0]).toBe(0x37f);
    const softfloat = cpu.wm.exports as unknown as { fpu_convert_to_i32(low: bigint, high: number): number };
    // -2.5, as an 80-bit number: to the nearest even one it is -2, downward -3.
    expect(softfloat.fpu_convert_to_i32(0xa000_0000_0000_0000n, 0xc000)).toBe(-2);
  });
});

describe.skipIf(guest === null)('a program of the real guest', () => {
  if (guest === null) return;

  it(
    'that sets the control word once and divides for ever gets one result, over four moves',
    async () => {
      const machines: Machine[] = [];
      const freshGuest = async (): Promise<Machine> => {
        const machine = await createMachine(guest.machineParts());
        machines.push(machine);
        machine.loadBaseSnapshot(await decodeBaseSnapshot(guest.snapshot));
        return machine;
      };
      let machine = await freshGuest();
      let console = new GuestConsole(machine);
      await machine.run(0);
      await console.begin();
      await console.run(`echo ${compileProgram('rounding.S').toString('base64')} | base64 -d > /tmp/rounding; chmod 755 /tmp/rounding`);
      // Downward, upward, and to nearest with 53 and 24 bits, by the number of arguments.
      for (const words of ['', 'x', 'x x', 'x x x']) {
        console.type(`/tmp/rounding ${words}\n`);
        await console.until(/right\r\n/, console.text.length);
        const target = await freshGuest();
        const arrived = new GuestConsole(target);
        await move(machine, target, () => Promise.resolve(), 1);
        await arrived.until(/(?:(?:right|wrong)\r\n[^]*){4}/);
        expect(console.text + arrived.text).not.toContain('wrong');
        machine.discard();
        [machine, console] = [target, arrived];
        console.type('\x03');
        await console.ready();
      }
      for (const one of machines) one.discard();
    },
    GUEST_LIMIT_MS,
  );
});
