/**
 * A PC and its moved twin, side by side: after a move both go on in the same virtual time, and everything in them is
 * compared. PCs without software are compared after every instruction, the real guest after every turn of the CPU's
 * loop (some 100,000 instructions, with compiled code).
 */
import { decodeBaseSnapshot } from './base-snapshot.ts';
import { VirtualHost } from './testing/virtual-time.ts';
import { beforeAll, describe, expect, it } from 'vitest';
import type { MacAddress } from '../shared/ids.ts';
import { FULL } from '../shared/testing/full.ts';
import { BARE_WORKLOADS, prepareBareMetal, resultCount, resultWord, RESULT_WORDS, type BareMetal, type BareWorkload } from './testing/bare-metal.ts';
import { GuestConsole } from './testing/guest-console.ts';
import { loadGuestParts, type GuestParts } from './testing/guest-parts.ts';
import { differences, moveTo, runSlices, startPc, stop, type TwinPc } from './testing/twin.ts';
import { mayDiffer } from './testing/unsaved-state.ts';

/** The word that a workload computes with, where it is not the usual one. */
const PARAMETERS: Partial<Record<BareWorkload, number>> = { x87_rounding: 0x77f, sse_control: 0xff80, changing_code: 20 };
/** Workloads whose results do not depend on time. */
const COMPUTING: readonly BareWorkload[] = [
  'x87_rounding',
  'x87_stack',
  'sse_control',
  'lazy_flags',
  'segment_caches',
  'strings_backwards',
  'paging',
  'long_page_tables',
  'user_mode',
  'changing_code',
  'media_instructions',
];
const MOVES = FULL ? 40 : 5;
/** Instructions before the first move; between two; and compared after each. */
const [BEFORE, BETWEEN, COMPARED] = [8000, 331, FULL ? 2000 : 250];
/** Turns of the real guest that are compared after its move. */
const TURNS = FULL ? 2000 : 60;
/** How often devices are compared, which takes longer than registers. */
const DEVICES_EVERY = 25;
/** Turns of the real guest after which a Ctrl-C is typed again, and after which waiting is given up. */
const [AGAIN_SLICES, MOST_SLICES] = [200, 20_000];
/** Virtual milliseconds at each reading of the clock: an instruction is two, a turn of the CPU's loop more than its 1 ms. */
const [INSTRUCTION_STEP_MS, TURN_STEP_MS] = [1 / 16, 17 / 16];

const MAC = '02:5a:00:00:00:02' as MacAddress;
const [GATEWAY, GATEWAY_IP] = ['02:5a:00:00:00:01', '10.0.0.1'];

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
      // The twin continues; the PC it was copied from becomes its next target.
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
      if (resultWord(source.cpu, index) !== resultWord(target.cpu, index))
        expect.fail(`Result ${index} is ${resultWord(source.cpu, index)} and ${resultWord(target.cpu, index)}.`);
    }
    source.machine.discard();
    target.machine.discard();
  });

  describe.skipIf(guest === null)('with the real guest', () => {
    if (guest === null) return;
    // All workloads share one guest: each workload moves it back to the machine that it came from.
    let source: TwinPc;
    let target: TwinPc;
    beforeAll(async () => {
      [source, target] = [await fromBase(guest), await fromBase(guest)];
      await source.host.at(() => source.machine.run(0));
      await runUntil(source, new GuestConsole(source.machine).begin());
      await runUntil(source, plugIn(source));
    });

    it.each([
      ['disk and page cache', 'while :; do dd if=/dev/sda of=/root/copy bs=64k count=8 skip=200 2>/dev/null; sync; echo 3 > /proc/sys/vm/drop_caches; done'],
      ['network traffic both ways', `arp -s ${GATEWAY_IP} ${GATEWAY}; ping -i 0.02 ${GATEWAY_IP} > /dev/null`],
      ['fork storm', 'while :; do for i in 1 2 3 4 5 6 7 8; do /bin/busybox true & done; wait; done'],
      ['random numbers and checksums', 'while :; do dd if=/dev/urandom bs=4k count=16 2>/dev/null | md5sum; done'],
      ['code that rewrites itself', 'while :; do writes code < /dev/null; done'],
      ['ticker and an idle CPU', 'ticker 5'],
    ])('do the same, turn by turn: %s', async (title, command) => {
      source.cpu.set_jit_config(0, 0);
      source.machine.console.write(new TextEncoder().encode(`${command}\n`));
      await runSlices(source, 120);
      await moveTo(source, target, false);
      // Which code is compiled first depends on the emulator's hash tables, and these depend on the emulator's age. Also,
      // compiled code omits what nothing asks for.
      for (const { cpu } of [source, target]) cpu.set_jit_config(0, 1);
      const sent: string[][] = [];
      const listeners = [source, target].map(({ machine }) => {
        const frames: string[] = [];
        sent.push(frames);
        return machine.network.onFrame((frame) => frames.push(Buffer.from(frame).toString('hex')));
      });
      for (let turn = 0; turn <= TURNS; turn++) {
        const found = differences(source, target, { devices: turn % 5 === 0, memory: turn === 0 || turn === TURNS, mayDiffer });
        expect(found, `${turn} turns after the move`).toEqual([]);
        for (const pc of [source, target]) {
          pc.host.at(() => pc.machine.network.deliver(frameFor(turn)));
          await runSlices(pc, 1);
        }
      }
      for (const listener of listeners) listener.dispose();
      expect(source.machine.state).toBe('running');
      expect(sent[1]).toEqual(sent[0]);
      if (title.startsWith('network')) expect(sent[0]?.length).toBeGreaterThan(3);
      await stop(source);
      [source, target] = [target, source];
      await interrupt(source);
    });
  });
});

async function fromBase(parts: GuestParts): Promise<TwinPc> {
  const pc = await startPc(new VirtualHost(1000, TURN_STEP_MS), parts.machineParts());
  const base = await decodeBaseSnapshot(parts.snapshot);
  pc.host.at(() => pc.machine.loadBaseSnapshot(base));
  return pc;
}

/** Gives the guest its network card, as the product does when it starts. */
function plugIn({ machine }: TwinPc): Promise<void> {
  machine.network.setMac(MAC);
  let heard = '';
  return new Promise((resolve, reject) => {
    machine.agent.onData((bytes) => {
      heard += new TextDecoder().decode(bytes);
      if (heard.includes('ok identity')) resolve();
      else if (/error.*\n/.test(heard)) reject(new Error(heard));
    });
    const identity = `identity mac=${MAC} hostname=vm ip=10.0.0.2/24 gateway=${GATEWAY_IP} dns=${GATEWAY_IP} time=1767225600000 seed=${'ab'.repeat(64)} password=secret12`;
    machine.agent.write(new TextEncoder().encode(`${identity}\n`));
  });
}

/** A frame of a type that Linux counts and drops. */
function frameFor(number: number): Uint8Array {
  const frame = new Uint8Array(60 + (number % 700));
  frame.set([MAC, GATEWAY].flatMap((mac) => mac.split(':').map((byte) => Number.parseInt(byte, 16))));
  frame.set([0x88, 0xb5, number & 0xff], 12);
  return frame;
}

/** Calls `again` every `AGAIN_SLICES`. Throws what `done` throws, and also when `done` does not settle for far too long. */
async function runUntil(pc: TwinPc, done: Promise<unknown>, again: () => void = () => undefined): Promise<void> {
  const end = { seen: false };
  const seen = (): void => void (end.seen = true);
  done.then(seen, seen);
  // No timer fires during this loop, so the test runner's time limit does not work either.
  for (let slices = 0; !end.seen; slices += 10) {
    if (slices >= MOST_SLICES) throw new Error(`It did not come in ${slices} slices, until ${pc.host.timeMs} ms of virtual time.`);
    if (slices % AGAIN_SLICES === 0) again();
    await runSlices(pc, 10);
  }
  await done;
}

/** Ends the shell's loop. A Ctrl-C that arrives just when the loop's command ends by itself has no effect, as on any Linux. */
function interrupt(pc: TwinPc): Promise<void> {
  const console = new GuestConsole(pc.machine);
  return runUntil(pc, console.ready(), () => console.type('\x03')).finally(() => console.dispose());
}

/** Sends keys, mouse events and typed bytes while the PC works, at the same moments for both twins. */
function disturb({ machine, cpu }: TwinPc, instruction: number): void {
  const bus = (cpu.devices.ps2 as unknown as { readonly bus: { readonly pair: { send(name: string, value: unknown): void } } }).bus;
  if (instruction % 211 === 100) bus.pair.send('keyboard-code', 0x10 + (instruction % 32));
  if (instruction % 307 === 150) bus.pair.send('mouse-delta', [(instruction % 50) - 25, instruction % 9]);
  if (instruction % 1009 === 500) {
    // A button that is pressed when the PC moves gets released (ps2-input.ts), so none is pressed then.
    bus.pair.send('mouse-click', [true, false, instruction % 3 === 0]);
    bus.pair.send('mouse-click', [false, false, false]);
  }
  if (instruction % 601 === 300) machine.console.write(new TextEncoder().encode(`line ${instruction}\n`));
}
