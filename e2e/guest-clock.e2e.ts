/** The guest's time across hops between tabs whose clocks began minutes apart (A11). */
import type { Page } from '@playwright/test';
import type { HostPage } from './harness/host-page.ts';
import { expect, test } from './harness/test.ts';

/** A tab opened this much later than the test's other tabs, as its VM workers see it: its monotonic clock is shifted. */
function openedEarlierBy(minutes: number): (page: Page) => Promise<void> {
  return async (page) => {
    await page.route(/\/assets\/vm-worker-[^/]*\.js$/, async (route) => {
      const response = await route.fetch();
      const shift = `{ const now = performance.now.bind(performance); performance.now = () => now() + ${minutes * 60_000}; }\n`;
      await route.fulfill({ response, body: shift + (await response.text()) });
    });
  };
}

/** Reads a clock of the guest, in milliseconds, between two readings of the test's. */
async function readClock(tab: HostPage, vmId: string, command: string): Promise<{ guest: number; before: number; after: number }> {
  const before = Date.now();
  const { output } = await tab.run(vmId, command);
  return { guest: Number(output) * 1000, before, after: Date.now() };
}

const UPTIME = 'cut -d" " -f1 /proc/uptime';
const WALL_CLOCK = 'date +%s.%N';
/** The guest's wall clock may be off by this much (issue: within 100 ms of the host's). */
const ALLOWED_MS = 100;
/** /proc/uptime has hundredths. */
const UPTIME_STEP_MS = 10;

test('A11: time goes on across three hops between tabs opened minutes apart', async ({ openHost }) => {
  const tabs = [
    await openHost({ label: 'tab A' }),
    await openHost({ label: 'tab B, open for 7 minutes longer', before: openedEarlierBy(7) }),
    await openHost({ label: 'tab C, opened 4 minutes later', before: openedEarlierBy(-4) }),
  ] as const;
  const [a, b, c] = tabs;
  const vmId = (await a.runningVm()).id;
  await a.waitForPrompt(vmId);
  await a.type(vmId, '(sleep 4; echo sleeper one woke) & (sleep 9; echo sleeper two woke) & (sleep 15; echo sleeper three woke) &\n');
  const first = await readClock(a, vmId, UPTIME);

  for (const [from, to] of [[a, b], [b, c], [c, a]] as const) {
    expect(await from.migrate(vmId, await to.id(), { maxPauseMs: 1000 })).toMatchObject({ outcome: 'completed' });
    const wall = await readClock(to, vmId, WALL_CLOCK);
    expect(wall.guest).toBeGreaterThan(wall.before - ALLOWED_MS);
    expect(wall.guest).toBeLessThan(wall.after + ALLOWED_MS);

    // The guest's monotonic clock advanced as much as the host's, pauses included.
    const last = await readClock(to, vmId, UPTIME);
    const advanced = last.guest - first.guest;
    expect(advanced).toBeGreaterThan(last.before - first.after - ALLOWED_MS - UPTIME_STEP_MS);
    expect(advanced).toBeLessThan(last.after - first.before + ALLOWED_MS + UPTIME_STEP_MS);
  }
  for (const name of ['one', 'two', 'three']) await a.waitForText(vmId, new RegExp(`sleeper ${name} woke`));
  // Nothing stalls: timers of the guest go on at their beat.
  await a.type(vmId, 'ticker 100\n');
  await a.waitForText(vmId, /ticker 10 /);
});
