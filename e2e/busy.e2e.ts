/** F4: moves among tabs that compute, on a machine with far more to do than it has cores. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, loadavg, setPriority } from 'node:os';
import { FULL } from '../src/shared/testing/full.ts';
import { ALONE } from './harness/alone.ts';
import { firefoxObstacle, launchFirefox } from './harness/firefox.ts';
import { pollFor } from './harness/poll-for.ts';
import type { ScriptedTab } from './harness/scripted-tab.ts';
import { expect, test } from './harness/test.ts';

/** Processes that want to run at any time, per core: twenty on two cores. */
const LOAD_PER_CORE = 10;
const CHROMIUM_TABS = 4;
/** From every tab to every other one. */
const MOVES = 20;
/** Nothing in a move waits for longer than this without progress. */
const MOVE_LIMIT_MS = 240_000;

/** The burners stop by themselves after this time if nobody stops them. */
const BURN_LIMIT_MS = 1_800_000;
/** The priority that Chromium gives to the processes of hidden tabs; the burners get the same. */
const HIDDEN_TAB_PRIORITY = 5;

/** Processes that compute and do nothing else. */
class Burners {
  readonly #children: ChildProcess[] = [];

  start(count: number): void {
    for (let index = 0; index < count; index++) {
      const child = spawn(process.execPath, ['-e', `const end = Date.now() + ${BURN_LIMIT_MS}; while (Date.now() < end);`], { stdio: 'ignore' });
      if (child.pid !== undefined) setPriority(child.pid, HIDDEN_TAB_PRIORITY);
      this.#children.push(child);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#children.splice(0).map(async (child) => {
        const exited = once(child, 'exit');
        child.kill('SIGKILL');
        await exited;
      }),
    );
  }
}

test(
  'F4: PCs that compute move among four tabs and Firefox on a machine that is far too busy; no move ends for silence',
  { tag: ALONE },
  async ({ openHost, room, server }) => {
    test.skip(!FULL, 'a quarter of an hour of a machine that can do nothing else: TABMOTION_FULL=1');
    test.setTimeout(120_000 + MOVES * MOVE_LIMIT_MS);
    const obstacle = firefoxObstacle();
    test.skip(obstacle !== null, obstacle ?? '');
    const browser = await launchFirefox();
    const burners = new Burners();
    try {
      const tabs: ScriptedTab[] = [];
      for (let index = 1; index <= CHROMIUM_TABS; index++) tabs.push(await openHost({ label: `Chromium ${index}`, query: { autostart: '0' } }));
      tabs.push(await browser.openHost(room.address(server.origin, { name: 'Firefox', autostart: '0' }), 'Firefox'));
      const ids: string[] = [];
      const vms: string[] = [];
      for (const tab of tabs) {
        await tab.waitForGuest();
        const { id } = await tab.start();
        await tab.waitForPrompt(id);
        await tab.type(id, 'ticker 1000 & while :; do dd if=/dev/urandom bs=64k count=16 2>/dev/null | md5sum >/dev/null; done\n');
        vms.push(id);
        ids.push(await tab.id());
      }
      burners.start(availableParallelism() * LOAD_PER_CORE - tabs.length);

      const told: string[] = [];
      const notMoved: string[] = [];
      const placeOf = async (vmId: string): Promise<number> =>
        pollFor(
          `${vmId} to be at a tab`,
          async () => {
            const vm = await tabs[0]?.vm(vmId);
            return vm?.state === 'running' ? [ids.indexOf(vm.hostId)] : null;
          },
          MOVE_LIMIT_MS,
        ).then(([index]) => index ?? -1);
      for (let count = 0; count < MOVES; count++) {
        const index = count % vms.length;
        const id = vms[index] ?? '';
        const place = await placeOf(id);
        const to = (place + 1 + (Math.floor(count / vms.length) % (tabs.length - 1))) % tabs.length;
        const report = await (tabs[place] as ScriptedTab).migrate(id, ids[to] ?? '', { verify: true });
        const line = `${tabs[place]?.label ?? ''} to ${tabs[to]?.label ?? ''}: ${report.outcome}${report.cause === undefined ? '' : ` (${report.cause}: ${report.reason ?? ''})`} ${Math.round(report.pauseMs)}/${Math.round(report.totalMs)} ms, ${report.rounds.length} rounds, ${report.link}`;
        told.push(line);
        if (report.outcome !== 'completed' || report.verified !== true) notMoved.push(line);
      }
      console.log(`load ${loadavg()[0]?.toFixed(1) ?? ''}:\n${told.join('\n')}`);
      expect(notMoved).toEqual([]);
      await burners.stop();
      // The PCs still run, and their tickers have skipped and repeated no number.
      for (const id of vms) {
        const place = tabs[await placeOf(id)] as ScriptedTab;
        const seen = numbersOf(await place.consoleText(id)).at(-1) ?? 0;
        await pollFor(`the ticker of ${id} to go on`, async () => (numbersOf(await place.consoleText(id)).at(-1) ?? 0) >= seen + 3, 60_000);
        const numbers = numbersOf(await place.consoleText(id));
        expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
      }
    } finally {
      await burners.stop();
      await browser.close();
    }
  },
);

function numbersOf(printed: string): number[] {
  return [...printed.matchAll(/ticker (\d+) gap=/g)].map((match) => Number(match[1]));
}
