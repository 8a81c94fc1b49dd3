/** A11: guest time across hosts whose clocks are far apart. */
import { pollFor } from './harness/poll-for.ts';
import type { HostPage } from './harness/host-page.ts';
import { expect, test } from './harness/test.ts';
import { shimWorkers } from './harness/worker-shim.ts';

const MINUTE_MS = 60_000;
/** How far `date` in the guest may be from the server's clock, whatever the tab's shows. */
const DATE_LIMIT_MS = 100;
/** /proc/uptime has hundredths of a second, and the kernel rounds. */
const UPTIME_LIMIT_MS = 50;

interface Sample {
  /** Bounds of the true time of the sample. */
  readonly from: number;
  readonly to: number;
  readonly value: number;
}

/** The guest's uptime in milliseconds, with the test's clock around it. */
async function uptime(tab: HostPage, vmId: string): Promise<Sample> {
  const from = performance.now();
  const { output } = await tab.run(vmId, 'cut -d" " -f1 /proc/uptime');
  return { from, to: performance.now(), value: Number(/\d+\.\d+/.exec(output)?.[0]) * 1000 };
}

/** How far the guest's wall clock is from the server's (this machine's clock), in milliseconds, as far as we can measure it; 0 = within the bounds. */
async function dateError(tab: HostPage, vmId: string): Promise<number> {
  const from = Date.now();
  const { output } = await tab.run(vmId, 'touch /tmp/now; stat -c %y /tmp/now');
  const to = Date.now();
  const text = /(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{3})/.exec(output);
  const guest = Date.parse(`${text?.[1] ?? ''}T${text?.[2] ?? ''}Z`);
  return guest < from ? from - guest : guest > to ? guest - to : 0;
}

test("A11: across three hops between tabs of very different age, hours ahead and behind, sleepers wake on time, the date is the server's and nothing stalls", async ({
  openHost,
}) => {
  const a = await openHost({ label: 'A', before: (page) => shimWorkers(page, { uptimeShiftMs: 7 * MINUTE_MS }) });
  const vm = await a.runningVm();
  await a.waitForPrompt(vm.id);
  const b = await openHost({ label: 'B', before: (page) => shimWorkers(page, { uptimeShiftMs: 90 * MINUTE_MS, dateShiftMs: 60 * MINUTE_MS }) });
  const c = await openHost({ label: 'C', before: (page) => shimWorkers(page, { dateShiftMs: -60 * MINUTE_MS }) });
  for (const tab of [a, b, c]) await tab.waitForGuest();

  await a.type(vm.id, '(sleep 20; echo wo""ke) & ticker 200 &\n');
  await a.waitForText(vm.id, /ticker 5 /);
  const start = await uptime(a, vm.id);
  await pollFor(`the date to be right in A`, async () => (await dateError(a, vm.id)) <= DATE_LIMIT_MS, 60_000);
  // The date, read five times a second: it goes forward over every move.
  await a.type(vm.id, '(while sleep 0.2; do date +%s; done) > /tmp/dates &\n');

  for (const [from, to] of [
    [a, b],
    [b, c],
    [c, a],
  ] as const) {
    expect(await from.migrate(vm.id, await to.id(), { maxPauseMs: 5000 })).toMatchObject({ outcome: 'completed' });
    // Nothing stalls: the ticker goes on, and a new sleeper wakes.
    const ticks = (await to.consoleText(vm.id)).match(/ticker \d+ /g)?.length ?? 0;
    await pollFor(`the ticker to go on in ${to.label}`, async () => ((await to.consoleText(vm.id)).match(/ticker \d+ /g)?.length ?? 0) >= ticks + 5, 60_000);
    expect((await to.run(vm.id, 'sleep 1')).status).toBe(0);
    expect(await dateError(to, vm.id)).toBeLessThanOrEqual(DATE_LIMIT_MS);

    // Guest time has passed as fast as real time: no more and no less than the bounds of the two samples allow.
    const now = await uptime(to, vm.id);
    const elapsed = now.value - start.value;
    expect(elapsed).toBeGreaterThanOrEqual(now.from - start.to - UPTIME_LIMIT_MS);
    expect(elapsed).toBeLessThanOrEqual(now.to - start.from + UPTIME_LIMIT_MS);
  }
  await a.waitForText(vm.id, /woke/);
  const goesBack = `awk '$1 < last - 1 { exit 1 } { last = $1 }' /tmp/dates`;
  expect((await a.run(vm.id, `${goesBack} && echo for""ward`)).output).toContain('forward');
  const numbers = [...(await a.consoleText(vm.id)).matchAll(/ticker (\d+) gap=/g)].map((match) => Number(match[1]));
  expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
});
