/** Whatever ends in the middle of a move, everything that waits for it is settled, with what is true (F5). */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SeededRandom } from '../migration/testing/seeded-random.ts';
import type { MigrationReport } from '../migration/report.ts';
import type { HostId, VmId } from '../shared/ids.ts';
import { FULL } from '../shared/testing/full.ts';
import type { ModelVm } from './testing/model-guest.ts';
import { ModelRoom, type ModelTab } from './testing/model-room.ts';

const [A, B, C] = ['a', 'b', 'c'] as [HostId, HostId, HostId];
const SCHEDULES = FULL ? 20_000 : 1000;
/** Every promise settles within this. */
const LIMIT_MS = 10_000;

/** A promise as the test sees it. */
interface Watched<T> {
  readonly what: string;
  readonly by: HostId;
  readonly askedAt: number;
  /** Its place in the order of requests: many are made in the same millisecond. */
  readonly place: number;
  settledAt: number | null;
  outcome: { readonly value: T } | { readonly error: string } | null;
}

interface Story {
  readonly room: ModelRoom;
  readonly tabs: readonly ModelTab[];
  readonly vmId: VmId;
  readonly moves: Watched<MigrationReport>[];
  readonly cancels: Watched<void>[];
  readonly told: string[];
}

async function begin(seed: number): Promise<Story> {
  const room = new ModelRoom(new SeededRandom(seed));
  room.withoutEngines = room.random.chance(0.05);
  const a = room.addTab(A);
  room.withoutEngines = room.random.chance(0.05);
  // Some targets have not loaded the guest when the move is asked for, and of these some never will.
  if (room.random.chance(0.3)) room.guestLoad = { ms: 1000 + room.random.below(4000), fails: room.random.chance(0.2) };
  const tabs = [a, room.addTab(B)];
  room.withoutEngines = false;
  room.guestLoad = { ms: 0, fails: false };
  tabs.push(room.addTab(C));
  await vi.advanceTimersByTimeAsync(100);
  const started = a.vms.start(undefined, 1);
  await vi.advanceTimersByTimeAsync(1000);
  return { room, tabs, vmId: await started, moves: [], cancels: [], told: [] };
}

function watch<T>(into: Watched<T>[], what: string, by: HostId, place: number, promise: Promise<T>): void {
  const watched: Watched<T> = { what, by, askedAt: Date.now(), place, settledAt: null, outcome: null };
  into.push(watched);
  const settle = (outcome: Watched<T>['outcome']): void => {
    watched.settledAt = Date.now();
    watched.outcome = outcome;
  };
  promise.then((value) => settle({ value }), (error: unknown) => settle({ error: (error as Error).message }));
}

const move = ({ moves, vmId, told }: Story, by: ModelTab, to: HostId): void => {
  told.push(`${Date.now()} ${by.id} moves it to ${to}`);
  watch(moves, `the move from ${by.id} to ${to}`, by.id, told.length, by.migrations.migrate(vmId, to, {}));
};
const cancel = ({ cancels, vmId, told }: Story, by: ModelTab): void => {
  told.push(`${Date.now()} ${by.id} cancels`);
  watch(cancels, `the cancel of ${by.id}`, by.id, told.length, by.migrations.cancel(vmId));
};

/** One thing that happens in the middle of a move. */
function happens(story: Story): void {
  const { room, tabs, vmId, told } = story;
  const { random } = room;
  const tab = random.pick(tabs);
  switch (random.below(6)) {
    case 0:
      told.push(`${Date.now()} the guest powers off`);
      room.vm(vmId).powerOff();
      break;
    case 1: {
      // A worker that has told of its VM's arrival, or that is not the target of a commit, ends.
      const worker = tab.workers.at(-1);
      if (worker === undefined || worker.isProving) break;
      told.push(`${Date.now()} a worker of ${tab.id} ends`);
      worker.crash();
      break;
    }
    case 2:
    case 3:
      cancel(story, tab);
      break;
    case 4:
      move(story, tab, random.pick([A, B, C]));
      break;
    case 5:
      if (random.chance(0.8)) break;
      told.push(`${Date.now()} the room forgets it`);
      room.forget(vmId);
      break;
  }
}

function isTrue(vm: ModelVm, { id, outcome, cause }: MigrationReport): void {
  // Where it ended nobody can say whose worker ended, too.
  if (cause === 'vm-ended') expect(vm.listed, 'a VM that is reported to have ended is listed').toBe(false);
  else expect(vm.movedBy.has(id), `${id}, reported as ${outcome}, moved it`).toBe(outcome === 'completed');
}

function check(story: Story): void {
  const { room, tabs, vmId, moves, cancels } = story;
  const vm = room.vm(vmId);
  for (const { what, askedAt, settledAt } of [...moves, ...cancels]) {
    expect(settledAt, `${what} is settled`).not.toBeNull();
    expect((settledAt ?? 0) - askedAt, `how long ${what} took`).toBeLessThanOrEqual(LIMIT_MS);
  }
  const reports = moves.flatMap(({ outcome }) => (outcome !== null && 'value' in outcome ? [outcome.value] : []));
  expect(reports, 'migrate() does not reject').toHaveLength(moves.length);
  for (const report of reports) isTrue(vm, report);
  for (const { what, by, askedAt, place, settledAt, outcome } of cancels) {
    const mine = moves.filter((one) => one.by === by && one.place < place && (one.settledAt ?? 0) > askedAt && (one.settledAt ?? 0) <= (settledAt ?? 0) + LIMIT_MS);
    const completed = mine.some((one) => one.outcome !== null && 'value' in one.outcome && one.outcome.value.outcome === 'completed');
    if (outcome !== null && 'error' in outcome) {
      if (/not being moved|ended already/.test(outcome.error)) expect(completed, `${what}: "${outcome.error}", and it moved`).toBe(false);
    } else {
      expect(completed, `${what} was obeyed, and it moved`).toBe(false);
    }
  }
  // Page, API and relay agree.
  const listed = room.list();
  for (const tab of tabs) {
    expect(tab.migrations.underWay(), `what ${tab.id} takes for under way`).toEqual([]);
    expect(tab.listedVms().map(({ id, hostId, state }) => ({ id, hostId, state })), `the VMs of ${tab.id}`).toEqual(listed.map(({ id, hostId, state }) => ({ id, hostId, state })));
    expect([...tab.vms.states().keys()], `the workers of ${tab.id}`).toEqual(listed.filter((one) => one.hostId === tab.id).map((one) => one.id));
    for (const { report } of tab.news) isTrue(vm, report);
  }
  if (vm.listed) {
    expect(listed[0]?.state).toBe('running');
    expect(vm.runsIn, 'the CPU that executes it').not.toBeNull();
  }
}

describe('a move in which something ends', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('navigator', {});
    // The tabs' logs.
    vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  it(`settles everything that waits for it, with what is true: ${SCHEDULES} schedules`, { timeout: 600_000 }, async () => {
    const seen = new Map<string, number>();
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      vi.setSystemTime(0);
      const story = await begin(seed);
      const { room: { random }, tabs } = story;
      const owner = tabs[0] as ModelTab;
      const asker = random.chance(0.5) ? owner : random.pick(tabs);
      move(story, asker, B);
      if (random.chance(0.1)) cancel(story, asker);
      for (let event = 1 + random.below(3); event > 0; event--) {
        // Most of what goes wrong goes wrong at once.
        await vi.advanceTimersByTimeAsync(random.chance(0.5) ? random.below(60) : random.below(1200));
        happens(story);
      }
      await vi.advanceTimersByTimeAsync(20_000);
      try {
        check(story);
      } catch (error) {
        throw new Error(`Seed ${seed}: ${(error as Error).message}\n${story.told.join('\n')}`, { cause: error });
      }
      for (const { outcome } of [...story.moves, ...story.cancels]) {
        const kind = outcome === null ? 'pending' : 'error' in outcome ? outcome.error.split(':')[0] ?? '' : outcome.value === undefined ? 'cancel obeyed' : `${outcome.value.outcome} ${outcome.value.cause ?? ''}`;
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
      }
      if (tabs.every((tab) => tab.targetsLoaded.length > 0)) seen.set('everybody heard that the target loads', (seen.get('everybody heard that the target loads') ?? 0) + 1);
      for (const tab of tabs) tab.vms.dispose();
      vi.clearAllTimers();
    }
    for (const kind of ['completed ', 'cancelled cancelled', 'failed vm-ended', 'failed link-failed', 'failed target-refused', 'everybody heard that the target loads', 'cancel obeyed', 'It was too late to cancel']) expect(seen.get(kind), kind).toBeGreaterThan(5);
  });
});
