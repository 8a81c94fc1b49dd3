import { describe, expect, it } from 'vitest';
import { totalOf } from './downtime.ts';
import { MigrationError } from './migration-error.ts';
import type { CancelAnswer } from './sender-api.ts';
import type { SenderState } from './sender-states.ts';
import { Invariants } from './testing/invariants.ts';
import { MODEL_FINGERPRINT } from './testing/model-vm.ts';
import { CLOCK_OFFSET_MS, Rehearsal, type RehearsalOptions } from './testing/rehearsal.ts';

/** Runs a whole migration and checks the invariants; calls `each` after every step. */
async function migrate(options: RehearsalOptions = {}, each: (rehearsal: Rehearsal) => void = () => undefined): Promise<Rehearsal> {
  const rehearsal = new Rehearsal(options);
  const invariants = new Invariants(rehearsal);
  await rehearsal.finish(() => {
    each(rehearsal);
    invariants.step();
  });
  await rehearsal.world.run(
    () => false,
    () => invariants.step(),
    60,
  );
  invariants.end();
  return rehearsal;
}

/** Does `what` once, when the source first is in `state`. */
function once(state: SenderState['name'], what: (rehearsal: Rehearsal) => void): (rehearsal: Rehearsal) => void {
  let done = false;
  return (rehearsal) => {
    if (done || rehearsal.sender.state() !== state) return;
    done = true;
    what(rehearsal);
  };
}

describe('A migration', () => {
  it('moves a running VM: every page arrives, it goes on at the next step, the source is gone (MG10-MG23, I1, I3)', async () => {
    const rehearsal = await migrate({ seed: 7 }, (now) => expect(now.runningCopies).toBeLessThanOrEqual(1));
    expect(rehearsal.report).toMatchObject({ outcome: 'completed', verified: null, from: 'host-a', to: 'host-b', link: 'local' });
    expect(rehearsal.end).toMatchObject({ outcome: 'completed', epoch: 2 });
    expect(rehearsal.sourceVm.discarded).toBe(true);
    const frames = rehearsal.arbiter.frames.map((frame) => frame.counter);
    expect(frames).toEqual(frames.map((_, index) => (frames[0] ?? 0) + index));
  });

  it('reports its rounds, bytes and pause; the last round is sent while the guest stands still (MG35)', async () => {
    const { report } = await migrate({ seed: 3 });
    expect(report?.rounds.length).toBeGreaterThanOrEqual(2);
    expect(report?.rounds.at(-1)?.dirtied).toBe(0);
    expect(report?.pauseMs).toBeGreaterThan(0);
    const { downtime } = report!;
    expect(report?.pauseMs).toBe(totalOf(downtime!));
    expect(downtime?.verify).toBe(0);
    for (const part of ['drain', 'devices', 'transfer', 'restore', 'commit', 'run'] as const) expect(downtime?.[part], part).toBeGreaterThan(0);
    expect(report?.totalMs).toBeGreaterThan(report?.pauseMs ?? 0);
    const sent = report?.rounds.reduce((sum, round) => sum + round.bytes, 0) ?? 0;
    expect(report?.bytesOnWire).toBeGreaterThan(sent);
    expect(report).not.toHaveProperty('reason');
  });

  it('tells the guest how long it stood still to within a round trip, however far the clocks are apart (MG19, MG22)', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const { sourceVm, targetVm, report } = await migrate({ seed });
      const stoodStill = (targetVm?.startedAt ?? 0) - CLOCK_OFFSET_MS - (sourceVm.stoppedAt ?? 0);
      expect(Math.abs((targetVm?.stoppedForMs ?? 0) - stoodStill)).toBeLessThan(3);
      // The pause counts from when the CPU was told to stop.
      expect(Math.abs((report?.pauseMs ?? 0) - (report?.downtime?.stop ?? 0) - stoodStill)).toBeLessThan(3);
    }
  });

  it('with verify compares all memory, and says that it was equal (MG20)', async () => {
    const { report } = await migrate({ seed: 2, verify: true });
    expect(report).toMatchObject({ outcome: 'completed', verified: true });
  });

  it('with verify finds a page that was never sent and differs all the same; the VM stays (MG20, I2)', async () => {
    const rehearsal = await migrate(
      { seed: 2, verify: true },
      once('holding', ({ targetVm, sourceVm }) => {
        const page = 1 + [...Array(sourceVm.space.ramPages - 1).keys()].findIndex((index) => !sourceVm.differsFromBase().has(index + 1));
        if (targetVm !== null) targetVm.memory[page * 4096 + 9] = 0xee;
      }),
    );
    expect(rehearsal.report).toMatchObject({ outcome: 'failed', cause: 'digest-mismatch', verified: false });
    expect(rehearsal.sourceVm.running).toBe(true);
  });

  it('carries what the caller sends along, unchanged (MG10)', async () => {
    const extra = { mac: '02:5a:00:00:00:02', ip: '10.0.0.2', text: 'grüße 🌲 \u0000', list: [1, null, { deep: true }] };
    const rehearsal = new Rehearsal({ extra });
    expect((await Promise.all([rehearsal.receiver.offer, rehearsal.finish()]))[0]).toMatchObject({
      extra,
      vmName: 'pine',
      vmId: 'vm-1',
      from: 'host-a',
      to: 'host-b',
    });
  });

  it('tells the source why the target will not have the VM, also before its offer has come (MG6, I5)', async () => {
    const rehearsal = new Rehearsal({ seed: 3 });
    rehearsal.receiver.cancel();
    await rehearsal.finish();
    expect(rehearsal.report).toMatchObject({ cause: 'cancelled', reason: 'The migration was cancelled at the target.' });
  });

  it('refuses to carry more than its limit', () => {
    expect(() => new Rehearsal({ extra: 'x'.repeat(20_000) })).toThrow(MigrationError);
  });

  it('shows its progress: the phases in order, and what is left (DESIGN 5)', async () => {
    const { progress } = await migrate({ seed: 9 });
    const phases = progress.map(({ phase }) => phase).filter((phase, index, all) => phase !== all[index - 1]);
    expect(phases).toEqual(['offer', 'prepare', 'rounds', 'hold', 'switchover', 'commit', 'done']);
    expect(progress.some(({ pagesLeft }) => pagesLeft > 0)).toBe(true);
    expect(progress.at(-1)?.pagesSent).toBeGreaterThan(0);
    expect(progress.every(({ id, vmId }) => id.startsWith('m-') && vmId === 'vm-1')).toBe(true);
  });

  it('moves on from hop to hop, and back to a host it was on (I3)', async () => {
    let rehearsal = await migrate({ seed: 12 });
    for (let hop = 0; hop < 3; hop++) {
      const before = rehearsal.targetVm?.counter ?? 0;
      rehearsal = await migrate({ after: rehearsal });
      expect(rehearsal.report?.outcome).toBe('completed');
      expect(rehearsal.targetVm?.counter).toBeGreaterThan(before);
    }
  });

  it('converges with a guest that writes all the time, and lets it have the whole CPU at the end (MG15, MG34)', async () => {
    const { report } = await migrate({ seed: 5, writesPerStep: 30 });
    expect(report?.outcome).toBe('completed');
  });

  it('sends no page that was never written, and no page of zeros as data (MG11, MG12)', async () => {
    const { report, sourceVm } = await migrate({ seed: 4, writesPerStep: 0 });
    const written = sourceVm.differsFromBase().count();
    expect(report?.rounds[0]?.pages).toBeLessThanOrEqual(written);
  });
});

describe('A migration that must not be', () => {
  it('is refused in words when the target runs another version of the emulator (MG11)', async () => {
    const { report, end } = await migrate({ targetFingerprint: { ...MODEL_FINGERPRINT, v86Version: '0.5.461', diskBytes: 1 } });
    expect(report).toMatchObject({ outcome: 'failed', cause: 'fingerprint-mismatch' });
    expect(report?.reason).toContain('has v86 0.5.461, this VM needs 0.5.462');
    expect(report?.reason).toContain('disk');
    expect(end).toMatchObject({ cause: 'fingerprint-mismatch', reason: report?.reason });
    expect(report?.bytesOnWire).toBeLessThan(3000);
  });

  it("is refused with the target's own sentence when it cannot build the VM (MG10)", async () => {
    const { report } = await migrate({ prepare: () => Promise.reject(new MigrationError('target-refused', 'This tab runs four VMs already.')) });
    expect(report).toMatchObject({ outcome: 'failed', cause: 'target-refused', reason: 'This tab runs four VMs already.' });
    const other = await migrate({ prepare: () => Promise.reject(new Error('out of memory')) });
    expect(other.report).toMatchObject({ cause: 'prepare-failed', reason: expect.stringContaining('out of memory') as unknown });
  });

  it('ends when the guest powers off', async () => {
    const { report } = await migrate(
      { seed: 6 },
      once('copying', ({ sender }) => sender.vmEnded()),
    );
    expect(report).toMatchObject({ outcome: 'failed', cause: 'vm-ended' });
  });
});

describe('Cancel', () => {
  for (const state of ['offering', 'preparing', 'copying', 'holding', 'stopping', 'handing-over'] as const) {
    it(`in ${state} leaves the VM running at the source, and it can be migrated at once (MG33)`, async () => {
      const answers: unknown[] = [];
      const rehearsal = await migrate(
        { seed: 8 },
        once(state, ({ sender }) => void sender.cancel().then((answer) => answers.push(answer))),
      );
      expect(rehearsal.report).toMatchObject({ outcome: 'cancelled', cause: 'cancelled' });
      expect(answers).toEqual([{ cancelled: true, sentence: expect.stringContaining('where it was') as unknown }]);
      expect(rehearsal.end?.outcome).toBe('cancelled');
      const again = await migrate({ after: rehearsal });
      expect(again.report?.outcome).toBe('completed');
    });
  }

  it('in committing is decided by the relay: cancelled, or too late with where the VM is (MG26, MG33)', async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 40; seed++) {
      const answers: CancelAnswer[] = [];
      const delay = seed % 8;
      let steps = 0;
      const { report } = await migrate({ seed }, ({ sender }) => {
        if (sender.state() === 'committing' && steps++ === delay) void sender.cancel().then((answer) => answers.push(answer));
      });
      for (const { cancelled, sentence } of answers) {
        seen.add(report?.outcome ?? '');
        expect(cancelled).toBe(report?.outcome === 'cancelled');
        if (!cancelled) expect(sentence).toContain('too late to cancel: the VM runs on the target now');
      }
    }
    expect([...seen].sort()).toEqual(['cancelled', 'completed']);
  });

  it('after the end answers that it is too late', async () => {
    const { sender } = await migrate({ seed: 8 });
    expect(await sender.cancel()).toMatchObject({ cancelled: false, sentence: expect.stringContaining('too late') as unknown });
  });
});

describe('A link that dies', () => {
  it('ends the migration where no other can be opened; the VM runs on (MG32, I2)', async () => {
    const { report, sourceVm } = await migrate(
      { seed: 10 },
      once('copying', (rehearsal) => rehearsal.cutLink()),
    );
    expect(report).toMatchObject({ outcome: 'failed', cause: 'link-failed' });
    expect(sourceVm.running).toBe(true);
  });

  it('and whose target has left the room ends the migration where the target need not speak yet (MG32)', async () => {
    const { report, sourceVm } = await migrate(
      { seed: 10 },
      once('offering', (rehearsal) => {
        rehearsal.currentLink().mute();
        rehearsal.world.clock.setTimeout(() => rehearsal.sender.targetLeft(), 3000);
      }),
    );
    expect(report).toMatchObject({ outcome: 'failed', cause: 'link-failed', reason: 'The target left before it answered the offer.' });
    expect(report?.totalMs).toBeLessThan(4000);
    expect(sourceVm.running).toBe(true);
  });

  it('goes on with a target that the room no longer has but that answers, wherever that is told (MG31)', async () => {
    for (const state of ['preparing', 'copying', 'holding', 'stopping', 'committing'] as const) {
      const { report } = await migrate(
        { seed: 10 },
        once(state, (rehearsal) => rehearsal.sender.targetLeft()),
      );
      expect(report, state).toMatchObject({ outcome: 'completed' });
    }
  });

  it('and says nothing is noticed by its silence (MG31)', async () => {
    const { report, waiting } = await migrate(
      { seed: 10 },
      once('copying', (rehearsal) => rehearsal.currentLink().mute()),
    );
    expect(report).toMatchObject({ outcome: 'failed', cause: 'link-silent' });
    expect(waiting.length).toBeLessThan(3);
  });

  for (const state of ['copying', 'holding', 'stopping'] as const) {
    it(`in ${state} is replaced, and the migration goes on from what the target has (MG32)`, async () => {
      let completed = 0;
      for (let seed = 1; seed <= 10; seed++) {
        const { report, links, log, end } = await migrate(
          { seed, reconnects: true },
          once(state, (rehearsal) => rehearsal.cutLink()),
        );
        expect(links).toHaveLength(2);
        expect(report?.outcome).toBe('completed');
        expect(end?.outcome).toBe('completed');
        expect(log.some((line) => line.includes('Another connection took over'))).toBe(true);
        completed++;
      }
      expect(completed).toBe(10);
    });
  }

  it('costs fewer bytes than a fresh start (MG32, C6)', async () => {
    const space = { ramPages: 3000, videoPages: 4, diskPages: 20 };
    const quiet = { seed: 21, space, writesPerStep: 0, fixedPauseMs: 30 } as const;
    const prepareVm = (rehearsal: Rehearsal): void => {
      const { random } = rehearsal.world;
      for (let at = 4096; at < 2900 * 4096; at += 4) if (at % 64 === 0) rehearsal.sourceVm.memory[at] = random.below(256);
      rehearsal.sourceVm.touch(1, 2900);
    };
    const whole = await migrate(quiet, once('offering', prepareVm));
    let cut = false;
    const resumed = await migrate({ ...quiet, reconnects: true }, (rehearsal) => {
      if (rehearsal.sender.state() === 'offering' && rehearsal.world.trace.length < 3) prepareVm(rehearsal);
      if (!cut && (rehearsal.progress.at(-1)?.pagesSent ?? 0) > 1500) {
        cut = true;
        rehearsal.cutLink();
      }
    });
    expect(cut).toBe(true);
    expect(resumed.report?.outcome).toBe('completed');
    expect(resumed.report?.bytesOnWire).toBeLessThan((whole.report?.bytesOnWire ?? 0) * 1.5);
  });
});

describe('A target on a busy machine', () => {
  for (const { side, state, ms } of [
    { side: 'sender', state: 'offering', ms: 30_000 },
    { side: 'receiver', state: 'preparing', ms: 45_000 },
    { side: 'receiver', state: 'receiving', ms: 9000 },
  ] as const) {
    it(`is waited for when it says nothing for ${ms / 1000} s with the ${side} in ${state}, for nothing is at stake (MG30, MG31)`, async () => {
      for (const seed of [1, 2, 3]) {
        let struck = false;
        const { report, sourceVm } = await migrate({ seed }, (rehearsal) => {
          if (struck || rehearsal[side].state() !== state) return;
          struck = true;
          rehearsal.target.freeze();
          rehearsal.world.clock.setTimeout(() => rehearsal.target.thaw(), ms);
        });
        expect(struck).toBe(true);
        expect(report?.outcome, report?.reason).toBe('completed');
        expect(sourceVm.running).toBe(false);
      }
    });
  }

  it('is cancelled at once all the same (MG33)', async () => {
    const rehearsal = await migrate(
      { seed: 4 },
      once('preparing', (now) => {
        now.target.freeze();
        now.world.clock.setTimeout(() => void now.sender.cancel(), 2000);
        now.world.clock.setTimeout(() => now.target.thaw(), 20_000);
      }),
    );
    expect(rehearsal.report).toMatchObject({ outcome: 'cancelled' });
    expect(rehearsal.report?.totalMs).toBeLessThan(3000);
  });

  it('is given up in the end if it is dead and nobody noticed (MG31)', async () => {
    const rehearsal = await migrate(
      { seed: 5 },
      once('preparing', (now) => now.kill('target', false)),
    );
    expect(rehearsal.report).toMatchObject({ outcome: 'failed' });
    expect(rehearsal.report?.totalMs).toBeLessThan(62_000);
    expect(rehearsal.sourceVm.running).toBe(true);
  });
});

describe('A relay that is away', () => {
  it('is waited for with a sentence that says so, and the VM runs nowhere meanwhile (MG25, MG27)', async () => {
    const copies = new Set<number>();
    const { report, waiting, sourceVm } = await migrate({ seed: 14 }, (rehearsal) => {
      if (rehearsal.sender.state() === 'handing-over' && rehearsal.relay.isUp && rehearsal.world.clock.now() < 5000) {
        rehearsal.relay.freeze();
        rehearsal.world.clock.setTimeout(() => rehearsal.relay.thaw(), 30_000);
      }
      if (!rehearsal.relay.isUp && rehearsal.sender.state() !== 'ended') copies.add(rehearsal.runningCopies);
    });
    expect([...copies]).toEqual([0]);
    expect(waiting.some((what) => what?.includes('relay') === true)).toBe(true);
    expect(waiting.at(-1)).toBeNull();
    expect(report?.outcome).toBe('failed');
    expect(report?.pauseMs).toBeGreaterThan(20_000);
    expect(sourceVm.running).toBe(true);
  });
});
