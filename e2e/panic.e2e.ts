/** A guest whose kernel panics ends like one that powers off, and everybody hears why. */
import type { Tab } from '../src/host/scripting-interface.ts';
import { pollFor } from './harness/poll-for.ts';
import { expect, test } from './harness/test.ts';

const CRASH = 'echo c > /proc/sysrq-trigger\n';
const REASON = "The guest's kernel panicked: sysrq triggered crash.";

test('a guest whose kernel panics is off for page, API and relay, says why, shows what it printed, and can be started again', async ({
  openHost,
  room,
  server,
}) => {
  const a = await openHost({ label: 'A' });
  const vm = await a.runningVm();
  await a.waitForPrompt(vm.id);
  const b = await openHost({ label: 'B' });
  await b.waitForHosts(2);
  await a.type(vm.id, CRASH);

  for (const tab of [a, b]) await pollFor(`no VM in ${tab.label}`, async () => (await tab.vms()).length === 0);
  expect(await room.describe(server.origin)).toMatchObject({ vms: [] });
  await expect(a.page.locator('.headline')).toContainText(`${vm.name} is off.`);
  await expect(a.page.locator('.headline')).toContainText(REASON);
  await expect(a.page.locator('.overlay')).toContainText(REASON);
  expect(await a.consoleText(vm.id)).toMatch(/Call Trace:[^]*---\[ end Kernel panic/);
  expect(await a.migrate(vm.id, await b.id())).toMatchObject({ outcome: 'failed', cause: 'unknown-vm' });

  await a.page.getByTestId('start-vm').click();
  const next = await a.runningVm();
  expect(next.id).not.toBe(vm.id);
  expect((await a.run(next.id, 'echo new')).output).toBe('new');
});

test('a panic in the middle of a move ends the move, with its reason', async ({ openHost }) => {
  const a = await openHost({ label: 'A' });
  const vm = await a.runningVm();
  const b = await openHost({ label: 'B' });
  await b.waitForGuest();
  await b.waitForHosts(2);
  await a.waitForPrompt(vm.id);
  await a.run(vm.id, 'dd if=/dev/urandom of=/dev/shm/noise bs=1M count=4 2>/dev/null');

  // Slow enough to be in the middle of it.
  const moved = b.migrate(vm.id, await b.id(), { maxPauseMs: 5000, bandwidthBytesPerSecond: 400_000 });
  await pollFor('the move to send', () => a.page.evaluate(() => (window.tabmotion as Tab).view().migrations.some(({ bytesSent }) => bytesSent > 0)));
  await a.type(vm.id, CRASH);

  expect(await moved).toMatchObject({ outcome: 'failed', cause: 'vm-ended', reason: expect.stringContaining(REASON) });
  for (const tab of [a, b]) await pollFor(`no VM in ${tab.label}`, async () => (await tab.vms()).length === 0);
  await expect(a.page.locator('.headline')).toContainText(REASON);
});
