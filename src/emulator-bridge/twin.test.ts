/**
 * A PC and its moved twin, side by side: after a move both go on in the same virtual time, and everything in them is
 * compared. PCs without software are compared after every instruction, the real guest after every turn of the CPU's
 * loop (some 100,000 instructions, with compiled code).
 */
import { VirtualHost } from './testing/virtual-time.ts';
import { beforeAll, describe, expect, it } from 'vitest';
import { FULL } from '../shared/testing/full.ts';
import { BARE_WORKLOADS, prepareBareMetal, resultCount, resultWord, RESULT_WORDS, type BareMetal, type BareWorkload } from './testing/bare-metal.ts';
import { GuestConsole } from './testing/guest-console.ts';
import { loadGuestParts, type GuestParts } from './testing/guest-parts.ts';
import { differences, moveTo, runSlices, startPc, stop, type TwinPc } from './testing/twin.ts';
import { mayDiffer } from './testing/unsaved-state.ts';

/** Of workloads that compute with another word than the usual. */
const PARAMETERS: Partial<Record<BareWorkload, number>> = { x87_rounding: 0x77f, sse_control: 0xff80, changing_code: 20 };
/** Workloads whose results do not depend on time. */
const COMPUTING: readonly BareWorkload[] = [
  'x87_rounding', 'x87_stack', 'sse_control', 'lazy_flags', 'segment_caches', 'strings_backwards', 'paging', 'long_page_tables', 'user_mode', 'changing_code', 'media_instructions',
];
const MOVES = FULL ? 40 : 5;
/** Instructions before the first move; between two; and compared after each. */
const [BEFORE, BETWEEN, COMPARED] = [8000, 331, FULL ? 2000 : 250];
/** How often devices are compared, which takes longer than registers. */
const DEVICES_EVERY = 25;
/** Virtual milliseconds at each reading of the clock: an instruction is two, a turn of the CPU's loop more than its 1 ms. */
const [INSTRUCTION_STEP_MS, TURN_STEP_MS] = [1 / 16, 17 / 16];

const guest = loadGuestParts();

describe('a moved PC and its twin', () => {
  let bare: BareMetal;
  beforeAll(() => {
    bare = prepareBareMetal(guest?.emulator);
  });

  it.each(BARE_WORKLOADS)('do the same, instruction by instruction: %s', async (workload) => {
    const fresh = async (): Promise<TwinPc> => {
      const pc = await startPc(new VirtualHost(1000, INSTRUCTION_STEP_MS), bare.parts(bare.fineEmulator, workload, PARAMETERS[workload]));
      pc.cpu.set_jit_config(0, 1);
      return pc;
    };
    let [source, target] = [await fresh(), await fresh()];
    await source.host.at(() => source.machine.run(0));
    let instruction = 0;
    const go = async (pcs: readonly TwinPc[], count: number): Promise<void> => {
      for (let slice = 0; slice < count; slice++) {
        for (const pc of pcs) {
          disturb(pc, instruction);
          await runSlices(pc, 1);
        }
        instruction++;
      }
    };
    await go([source], BEFORE);
    const results = resultCount(source.cpu);
    expect(results, 'the workload works').toBeGreaterThan(0);
    for (let move = 0; move < MOVES; move++) {
      await go([source], BETWEEN + move);
      await moveTo(source, target);
      for (let slice = 0; slice <= COMPARED; slice++) {
        const devices = slice % DEVICES_EVERY === 0;
        const found = differences(source, target, { devices, memory: slice === 0 || slice === COMPARED, mayDiffer });
        expect(found, `${slice} instructions after move ${move}`).toEqual([]);
        await go([source, target], 1);
      }
      expect(source.machine.state).toBe('running');
      // The twin goes on; the PC it came from is its next target.
      await stop(source);
      [source, target] = [target, source];
    }
    expect(resultCount(source.cpu)).toBeGreaterThan(results);
    source.machine.discard();
    target.machine.discard();
  });

  it.each(COMPUTING)('compute the same with compiled code: %s', async (workload) => {
    const fresh = (): Promise<TwinPc> => startPc(new VirtualHost(1000, TURN_STEP_MS), bare.parts(bare.emulator, workload, PARAMETERS[workload]));
    const [source, target] = [await fresh(), await fresh()];
    await source.host.at(() => source.machine.run(0));
    await runSlices(source, 12);
    await moveTo(source, target);
    const before = resultCount(source.cpu);
    for (const pc of [source, target]) await runSlices(pc, 12);
    // One may be further than the other: compiled code decides where a turn ends.
    const [one, other] = [resultCount(source.cpu), resultCount(target.cpu)];
    const [from, to] = [Math.max(before, Math.max(one, other) - RESULT_WORDS), Math.min(one, other)];
    expect(to - from).toBeGreaterThan(100);
    for (let index = from; index < to; index++) {
      if (resultWord(source.cpu, index) !== resultWord(target.cpu, index)) expect.fail(`Result ${index} is ${resultWord(source.cpu, index)} and ${resultWord(target.cpu, index)}.`);
    }
    source.machine.discard();
    target.machine.discard();
  });

  describe.skipIf(guest === null)('with the real guest', () => {
    if (guest === null) return;

    it.each([
      ['fork storm', 'while :; do for i in 1 2 3 4 5 6 7 8; do /bin/busybox true & done; wait; done'],
      ['random numbers and checksums', 'while :; do dd if=/dev/urandom bs=4k count=16 2>/dev/null | md5sum; done'],
      ['code that rewrites itself', 'while :; do writes code < /dev/null; done'],
      ['ticker and an idle CPU', 'ticker 5'],
    ])('do the same, turn by turn: %s', async (_, command) => {
      const [source, target] = [await fromBase(guest), await fromBase(guest)];
      const console = new GuestConsole(source.machine);
      await source.host.at(() => source.machine.run(0));
      const settled = console.ready();
      await runUntil(source, settled);
      console.type(`${command}\n`);
      await runSlices(source, 200);
      await moveTo(source, target, false);
      // Which code is compiled first depends on the emulator's hash tables, which are as old as the emulator is; and
      // compiled code leaves out what nobody asks for.
      for (const { cpu } of [source, target]) cpu.set_jit_config(0, 1);
      const turns = FULL ? 2000 : 80;
      for (let turn = 0; turn <= turns; turn++) {
        const found = differences(source, target, { devices: turn % 5 === 0, memory: turn === 0 || turn === turns, mayDiffer });
        expect(found, `${turn} turns after the move`).toEqual([]);
        for (const pc of [source, target]) await runSlices(pc, 1);
      }
      expect(source.machine.state).toBe('running');
      source.machine.discard();
      target.machine.discard();
    });
  });
});

async function fromBase(parts: GuestParts): Promise<TwinPc> {
  const pc = await startPc(new VirtualHost(1000, TURN_STEP_MS), parts.machineParts());
  await pc.host.at(() => pc.machine.loadBaseSnapshot(parts.snapshot));
  return pc;
}

async function runUntil(pc: TwinPc, done: Promise<unknown>): Promise<void> {
  let over = false;
  void done.then(() => (over = true));
  while (!over) await runSlices(pc, 10);
}

/** Keys, mouse and typed bytes that come while the PC works, at the same moments for both twins. */
function disturb({ machine, cpu }: TwinPc, instruction: number): void {
  const bus = (cpu.devices.ps2 as unknown as { readonly bus: { readonly pair: { send(name: string, value: unknown): void } } }).bus;
  if (instruction % 211 === 100) bus.pair.send('keyboard-code', 0x10 + (instruction % 32));
  if (instruction % 307 === 150) bus.pair.send('mouse-delta', [(instruction % 50) - 25, instruction % 9]);
  if (instruction % 1009 === 500) {
    // A button that is pressed when the PC moves is let go (ps2-input.ts), so none is.
    bus.pair.send('mouse-click', [true, false, instruction % 3 === 0]);
    bus.pair.send('mouse-click', [false, false, false]);
  }
  if (instruction % 601 === 300) machine.console.write(new TextEncoder().encode(`line ${instruction}\n`));
}
