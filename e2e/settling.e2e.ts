/** F5: at any moment of a move the PC ends or the move is cancelled. Every promise settles with what is true, and page, API and relay agree. */
import type { Tab } from '../src/host/scripting-interface.ts';
import { SeededRandom } from '../src/migration/testing/seeded-random.ts';
import type { MigrationReport } from '../src/migration/report.ts';
import { FULL } from '../src/shared/testing/full.ts';
import { ALONE } from './harness/alone.ts';
import type { HostPage } from './harness/host-page.ts';
import { pollFor } from './harness/poll-for.ts';
import type { Room } from './harness/room.ts';
import { expect, test } from './harness/test.ts';

/** `TABMOTION_SETTLE_FROM` starts with a later seed: the long form takes longer than anybody waits. */
const FIRST = Number(process.env['TABMOTION_SETTLE_FROM'] ?? '1');
const TRIES = FULL ? Number(process.env['TABMOTION_SETTLE_TRIES'] ?? '200') : 6;
/**
 * Everything settles within this time after the call or, because a PC that reboots goes on moving, after the last
 * progress that the page reported of its move.
 */
const SETTLE_LIMIT_MS = 10_000;
/** Progress or not, a move comes to its end. */
const MOVE_LIMIT_MS = 120_000;
/** A move on a busy machine takes about this long; the events of these tests fall within it, mostly at its beginning. */
const MOVE_MS = 500;
const ENDS = ['poweroff -f', 'reboot -f', 'echo c > /proc/sysrq-trigger'] as const;

/** What a page recorded about a promise: how long it took after the last progress of any move, and the result. */
interface Note {
  readonly ms: number;
  readonly report?: MigrationReport;
  readonly error?: string;
}
interface NotingWindow extends Window {
  notes: Record<string, Note>;
  waitedMs: (name: string) => number;
  note: (name: string, promise: Promise<MigrationReport | undefined>) => void;
}

/** Lets a page record when and how its promises settle. */
async function prepare(host: HostPage): Promise<HostPage> {
  await host.page.evaluate(() => {
    const notes: Record<string, Note> = {};
    const calledAt: Record<string, number> = {};
    let progressAt = 0;
    window.tabmotion.on('migration', () => (progressAt = performance.now()));
    const waitedMs: NotingWindow['waitedMs'] = (name) => performance.now() - Math.max(calledAt[name] ?? 0, progressAt);
    const note: NotingWindow['note'] = (name, promise) => {
      calledAt[name] = performance.now();
      promise.then(
        (report) => (notes[name] = { ms: waitedMs(name), ...(report === undefined ? {} : { report }) }),
        (error: unknown) => (notes[name] = { ms: waitedMs(name), error: (error as Error).message }),
      );
    };
    Object.assign(window, { notes, note, waitedMs });
  });
  await host.waitForGuest();
  return host;
}

async function noted(host: HostPage, name: string): Promise<Note> {
  const found = await pollFor(
    `${name} to settle`,
    () =>
      host.page.evaluate(
        ([key, limitMs]) => {
          const { notes, waitedMs } = window as unknown as NotingWindow;
          return notes[key] ?? (waitedMs(key) > limitMs ? 'late' : null);
        },
        [name, SETTLE_LIMIT_MS] as const,
      ),
    MOVE_LIMIT_MS,
  );
  if (found === 'late') throw new Error(`${name} has not settled ${SETTLE_LIMIT_MS} ms after the last progress`);
  return found;
}

/** Page, API and relay say the same of the VM, and it is what the report says. */
async function expectAgreement(tabs: readonly HostPage[], room: Room, origin: string, report: MigrationReport): Promise<'here' | 'there' | 'gone'> {
  return pollFor(
    'page, API and relay to agree',
    async () => {
      const listed = (await room.describe(origin)).vms.find((vm) => vm.id === report.vmId);
      const where = listed === undefined ? 'gone' : listed.ownerHostId === report.to ? 'there' : 'here';
      expect(where).toMatch(report.outcome === 'completed' ? /there|gone/ : report.cause === 'vm-ended' ? 'gone' : /here|gone/);
      for (const tab of tabs) {
        const seen = await tab.page.evaluate((id) => {
          const view = (window.tabmotion as Tab).view();
          return {
            vm: window.tabmotion.vms().find((vm) => vm.id === id) ?? null,
            moving: view.migrations.length,
            told: view.reports.filter((entry) => entry.report.vmId === id).at(-1)?.report ?? null,
            headline: document.querySelector('.headline')?.textContent ?? '',
          };
        }, report.vmId);
        expect(seen.vm === null ? null : { hostId: seen.vm.hostId, epoch: seen.vm.epoch }).toEqual(
          listed === undefined ? null : { hostId: listed.ownerHostId, epoch: listed.epoch },
        );
        expect(seen.vm?.state ?? 'running').toBe('running');
        expect(seen.moving).toBe(0);
        expect(seen.told).toMatchObject({ id: report.id, outcome: report.outcome });
        if (listed === undefined) expect(seen.headline).not.toMatch(/pc\d+ (now runs|is running|is moving|stays|did not move)|A real PC/);
      }
      return where;
    },
    SETTLE_LIMIT_MS,
  );
}

test(
  `F5: ${TRIES} power-offs, reboots and panics at any moment of a move: it settles, and page, API and relay agree`,
  { tag: ALONE },
  async ({ openHost, room, server }) => {
    test.setTimeout(120_000 + TRIES * 40_000);
    const open = async (label: string): Promise<HostPage> => prepare(await openHost({ label, query: { autostart: '0' } }));
    let [source, target] = [await open('source'), await open('target')];
    const outcomes: Record<string, number> = {};
    let slowest = 0;
    for (let seed = FIRST; seed < FIRST + TRIES; seed++) {
      const random = new SeededRandom(seed);
      const { id: vmId } = await source.start();
      await source.waitForPrompt(vmId);
      // Half of them before the worker knows of the move, or just after.
      const [end, after] = [random.pick(ENDS), random.below(random.chance(0.5) ? 100 : MOVE_MS)];
      await test.step(`seed ${seed}: ${end} ${after} ms after the start`, async () => {
        await source.page.evaluate(
          ([vm, to, command, ms]) => {
            (window as unknown as NotingWindow).note(vm, window.tabmotion.migrate(vm, to, { maxPauseMs: 5000 }));
            setTimeout(() => window.tabmotion.console(vm).write(`${command}\n`), ms);
          },
          [vmId, await target.id(), end, after] as const,
        );
        const { report, ms } = await noted(source, vmId);
        expect(report, 'migrate() does not reject').toBeDefined();
        if (report === undefined) return;
        slowest = Math.max(slowest, ms);
        const where = await expectAgreement([source, target], room, server.origin, report);
        const kind = `${end}: ${report.outcome} ${report.cause ?? ''}, ${where}`;
        outcomes[kind] = (outcomes[kind] ?? 0) + 1;
        // A PC that reboots would go on running beside the next one.
        if (where === 'here') {
          await source.page.close({ runBeforeUnload: false });
          source = await open('source');
        } else if (where === 'there') {
          await target.page.close({ runBeforeUnload: false });
          target = await open('target');
        }
      });
      for (const tab of [source, target]) await tab.page.evaluate((vm) => (window.tabmotion as Tab).dismiss(vm), vmId);
    }
    console.log(`settled within ${slowest.toFixed(0)} ms:`, outcomes);
  },
);

test(`F5: ${TRIES} wishes to cancel at any moment of a move: obeyed, or refused with what is true`, { tag: ALONE }, async ({ openHost, room, server }) => {
  test.setTimeout(120_000 + TRIES * 40_000);
  const tabs = [
    await prepare(await openHost({ label: 'one' })),
    await prepare(await openHost({ label: 'two', query: { autostart: '0' } })),
    await prepare(await openHost({ label: 'three', query: { autostart: '0' } })),
  ] as const;
  const { id: vmId } = await tabs[0].runningVm();
  await tabs[0].waitForPrompt(vmId);
  const ids = await Promise.all(tabs.map((tab) => tab.id()));
  const outcomes: Record<string, number> = {};
  let slowest = 0;
  for (let seed = FIRST; seed < FIRST + TRIES; seed++) {
    const random = new SeededRandom(seed);
    const owner = ids.indexOf((await pollFor('the VM to be listed', () => tabs[0].vm(vmId))).hostId);
    const to = (owner + 1 + random.below(2)) % 3;
    // The tab that asks for the move also cancels it, sometimes twice; it may or may not run the VM.
    const asker = random.below(3);
    const after = random.chance(0.3) ? 0 : random.below(random.chance(0.5) ? 100 : MOVE_MS);
    const twice = random.chance(0.3);
    await test.step(`seed ${seed}: tab ${asker} moves it from ${owner} to ${to} and cancels after ${after} ms`, async () => {
      const tab = tabs[asker] ?? tabs[0];
      const name = `try-${seed}`;
      await tab.page.evaluate(
        ([vm, target, key, ms, again]) => {
          const { note } = window as unknown as NotingWindow;
          const cancel = (): void => {
            note(
              `${key} cancel`,
              window.tabmotion.cancel(vm).then(() => undefined),
            );
            if (again)
              note(
                `${key} again`,
                window.tabmotion.cancel(vm).then(() => undefined),
              );
          };
          note(key, window.tabmotion.migrate(vm, target, { maxPauseMs: 5000 }));
          if (ms === 0) cancel();
          else setTimeout(cancel, ms);
        },
        [vmId, ids[to] ?? '', name, after, twice] as const,
      );
      const { report, ms } = await noted(tab, name);
      const cancels = [await noted(tab, `${name} cancel`), ...(twice ? [await noted(tab, `${name} again`)] : [])];
      expect(report, 'migrate() does not reject').toBeDefined();
      if (report === undefined) return;
      slowest = Math.max(slowest, ms, ...cancels.map((cancel) => cancel.ms));
      for (const cancel of cancels) {
        if (cancel.error === undefined) expect(report.outcome).not.toBe('completed');
        else expect(cancel.error).toMatch(report.outcome === 'completed' ? /too late|not being moved/ : /ended already|not being moved/);
      }
      // If a request is cancelled before its move begins, only the asker gets a report.
      const begun = report.outcome !== 'cancelled' || report.totalMs > 0;
      const where = begun ? await expectAgreement(tabs, room, server.origin, report) : 'here';
      const kind = `${report.outcome} ${report.cause ?? ''}, ${where}: ${cancels.map(({ error }) => error?.split(':')[0] ?? 'obeyed').join(', ')}`;
      outcomes[kind] = (outcomes[kind] ?? 0) + 1;
    });
  }
  console.log(`settled within ${slowest.toFixed(0)} ms:`, outcomes);
});
