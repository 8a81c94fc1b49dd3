/** A tab that loses the server for a while: its requests are carried out and answered, and it then gets what it missed. */
import type { MigrateOptions, Tab } from '../src/host/scripting-interface.ts';
import { openCable } from './harness/cable.ts';
import { pollFor } from './harness/poll-for.ts';
import { expect, test } from './harness/test.ts';

/** These tests do not check whether the rest fits into a short pause. */
const PATIENT: MigrateOptions = { maxPauseMs: 5000 };
/** Slow enough to be cut off in the middle. */
const SLOW: MigrateOptions = { ...PATIENT, bandwidthBytesPerSecond: 400_000 };
/** Some 7 MB at that rate need 18 s; a machine that is busy with something else takes much longer. */
const SLOW_MOVE_LIMIT_MS = 90_000;
/** The server treats five seconds of silence as a loss. */
const STOOD_STILL_MS = 8000;

test('a tab that asked for a move and is cut off meanwhile hears how it ended, and can ask again', async ({ openHost, server }) => {
  test.setTimeout(4 * SLOW_MOVE_LIMIT_MS);
  const cable = await openCable(server.origin);
  try {
    const source = await openHost({ label: 'source' });
    const vm = await source.runningVm();
    const target = await openHost({ label: 'target' });
    const asker = await openHost({ label: 'asker', server: cable });
    const targetId = await target.id();
    for (const host of [source, target, asker]) {
      await host.waitForHosts(3);
      await host.waitForGuest();
    }
    await source.run(vm.id, 'dd if=/dev/urandom of=/dev/shm/noise bs=1M count=4 2>/dev/null');
    const underWay = async (host: typeof asker): Promise<number> => await host.page.evaluate(() => (window.tabmotion as Tab).view().migrations.length);

    await asker.waitForText(vm.id, /noise/);

    const asked = asker.migrate(vm.id, targetId, SLOW);
    await pollFor('the asker to see the move', async () => (await underWay(asker)) === 1);
    cable.pull();
    const log = asker.page.getByTestId('migration-log');
    await expect(log).toContainText('The server does not answer');
    // A request that cannot be sent is refused, after a while in which the server may come back.
    expect(await asker.migrate(vm.id, targetId)).toMatchObject({
      outcome: 'failed',
      cause: 'unknown-host',
      reason: expect.stringContaining('cannot be reached'),
    });
    const ended = await pollFor(
      'the move to end',
      () => source.page.evaluate(() => (window.tabmotion as Tab).view().reports.at(-1)?.report),
      SLOW_MOVE_LIMIT_MS,
    );
    expect(ended).toMatchObject({ outcome: 'completed', vmId: vm.id });
    await target.runningVm(vm.id);
    expect((await target.run(vm.id, 'echo printed "mean""while"')).output).toBe('printed meanwhile');
    // Long enough for the others to forget that the asker watches.
    await source.waitForHosts(2);
    await pollFor('the others to know of the end', async () => (await underWay(source)) === 0 && (await underWay(target)) === 0);
    expect(await underWay(asker)).toBe(1);

    cable.mend();
    const report = await asked;
    expect(report).toMatchObject({ outcome: 'completed', vmId: vm.id, to: targetId });
    await expect(log).toContainText(`${vm.name} moved to target`);
    await pollFor('the asker to see no move any more', async () => (await underWay(asker)) === 0);
    await asker.waitForText(vm.id, /printed meanwhile/);
    expect((await asker.run(vm.id, 'echo seen again')).output).toBe('seen again');
    expect(await asker.migrate(vm.id, await source.id(), PATIENT)).toMatchObject({ outcome: 'completed' });
    expect((await source.run(vm.id, 'echo back')).output).toBe('back');
  } finally {
    await cable.close();
  }
});

test('a tab that watches a console and is cut off sees what was printed meanwhile, and goes on watching', async ({ openHost, server }) => {
  const cable = await openCable(server.origin);
  try {
    const owner = await openHost({ label: 'owner' });
    const vm = await owner.runningVm();
    const watcher = await openHost({ label: 'watcher', server: cable });
    await watcher.waitForHosts(2);
    await watcher.waitForPrompt(vm.id);
    cable.pull();
    // Long enough for the owner to forget that the watcher watches.
    await owner.waitForHosts(1);
    await owner.run(vm.id, 'echo printed "mean""while"');
    cable.mend();
    await watcher.waitForText(vm.id, /printed meanwhile/);
    expect((await watcher.run(vm.id, 'echo seen again')).output).toBe('seen again');
  } finally {
    await cable.close();
  }
});

test('a tab that stood still for longer than the server waits can move its VM as soon as it wakes', async ({ openHost }) => {
  const source = await openHost({ label: 'source' });
  const vm = await source.runningVm();
  const target = await openHost({ label: 'target' });
  const targetId = await target.id();
  await source.waitForHosts(2);
  await target.waitForGuest();
  // All in one task, so that the tab does not know yet that the server has dropped it.
  const report = await source.page.evaluate(
    ([vmId, hostId, options, ms]) => {
      const until = performance.now() + ms;
      while (performance.now() < until);
      return window.tabmotion.migrate(vmId, hostId, options);
    },
    [vm.id, targetId, PATIENT, STOOD_STILL_MS] as const,
  );
  await expect(source.page.getByTestId('migration-log')).toContainText('The server answers again');
  expect(report).toMatchObject({ outcome: 'completed' });
  await target.runningVm(vm.id);
  expect((await target.run(vm.id, 'echo moved')).output).toBe('moved');
});
