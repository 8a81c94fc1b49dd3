/** Start-up and live migration of the real page, measured from a visitor's point of view. */
import type { Browser } from '@playwright/test';
import { HostPage } from '../e2e/harness/host-page.ts';
import { pollFor } from '../e2e/harness/poll-for.ts';
import { newRoom } from '../e2e/harness/room.ts';
import type { ServerProcess } from '../e2e/harness/server-process.ts';
import type { MigrationReport } from '../src/migration/report.ts';

/** Time from the start of the page load until its shell has answered a typed line, in milliseconds. */
export async function firstAnswer(browser: Browser, server: ServerProcess, warm: boolean): Promise<number> {
  const context = await browser.newContext();
  // Warm: the browser has the page and the guest in its cache.
  if (warm) await openAndAnswer(await context.newPage(), server);
  const figure = await openAndAnswer(await context.newPage(), server);
  await context.close();
  return figure;
}

async function openAndAnswer(page: Awaited<ReturnType<Browser['newPage']>>, server: ServerProcess): Promise<number> {
  await page.goto(newRoom().address(server.origin));
  const figure = await page.evaluate(async () => {
    for (;;) {
      const vm = 'tabmotion' in window ? window.tabmotion.vms()[0] : undefined;
      if (vm !== undefined) {
        const shell = window.tabmotion.console(vm.id);
        await new Promise<void>((resolve) => {
          let heard = '';
          shell.onData((data) => {
            heard += data;
            if (heard.includes('answer=42')) resolve();
          });
          // Typed at once: the machine takes it as soon as it runs.
          shell.write('echo answer=$((6*7))\n');
        });
        return performance.now();
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  await page.close();
  return figure;
}

export interface GuestLoad {
  readonly name: string;
  /** Typed into the shell; empty for an idle guest. */
  readonly command: string;
}

export const LOADS: readonly GuestLoad[] = [
  { name: 'idle shell', command: '' },
  { name: 'ticker, 10 ms', command: 'ticker 10 > /dev/null &\n' },
  {
    name: 'dd from urandom in a loop',
    command: 'mkdir -p /tmp/r; mount -t tmpfs none /tmp/r; while :; do dd if=/dev/urandom of=/tmp/r/x bs=64k count=64 2>/dev/null; done &\n',
  },
  { name: 'dirty 16 MiB, 2000 pages/s', command: 'dirty 16 2000 > /dev/null &\n' },
];

const SETTLE_MS = 3000;
/** Before the first move: until then, the code of both tabs is being compiled well. */
const WARM_UP_MS = 3000;

/** Moves a guest under load back and forth; returns the reports of `moves` migrations. */
export async function migrations(browser: Browser, server: ServerProcess, load: GuestLoad, moves: number): Promise<MigrationReport[]> {
  const context = await browser.newContext();
  const room = newRoom();
  const tabs: HostPage[] = [];
  for (const label of ['tab A', 'tab B']) {
    const tab = new HostPage(await context.newPage(), label);
    await tab.open(room.address(server.origin));
    tabs.push(tab);
    if (tabs.length === 1) await tab.waitForPrompt((await tab.runningVm()).id);
  }
  const [first, second] = tabs as [HostPage, HostPage];
  const vmId = (await first.runningVm()).id;
  if (load.command !== '') await first.type(vmId, load.command);
  await pollFor('the link between the tabs', () => first.page.evaluate(() => window.tabmotion.hosts().length === 2));
  const reports: MigrationReport[] = [];
  await first.page.waitForTimeout(WARM_UP_MS);
  for (let move = 0; move < moves; move++) {
    const [from, to] = move % 2 === 0 ? [first, second] : [second, first];
    // Waits between moves, so that each move starts with a settled guest and a standby machine, as it does for people.
    await pollFor('a machine to stand ready at the target', () => to.hasStandby(), 60_000);
    await from.page.waitForTimeout(SETTLE_MS);
    reports.push(await from.migrate(vmId, await to.id(), { maxPauseMs: 100 }));
  }
  await context.close();
  return reports;
}
