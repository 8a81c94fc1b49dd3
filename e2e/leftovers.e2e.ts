/** A8: a migration leaves nothing behind where the VM is not. */
import { census, countConnections, type Census } from './harness/census.ts';
import type { HostPage } from './harness/host-page.ts';
import { pollFor } from './harness/poll-for.ts';
import { relaySockets } from './harness/relay-figures.ts';
import type { ServerProcess } from './harness/server-process.ts';
import { expect, test } from './harness/test.ts';

/** A target that heard nothing of a migration's end gives up after its own limit of 10 s; a busy machine takes several times that. */
const SETTLED_LIMIT_MS = 60_000;

/** On a busy machine the first attempt may take too long; the next one comes after half a minute. */
async function waitForWebRtc(host: HostPage): Promise<void> {
  await pollFor('a WebRTC connection between the tabs', async () => (await census(host)).dataChannels > 0, 60_000);
}

async function settlesAt(host: HostPage, expected: Census): Promise<void> {
  await pollFor(
    `${host.label} to have ${JSON.stringify(expected)} open`,
    async () => {
      const now = await census(host);
      return now.workers === expected.workers && now.dataChannels === expected.dataChannels;
    },
    SETTLED_LIMIT_MS,
  ).catch(async (error: unknown) => {
    throw new Error(`${host.label} has ${JSON.stringify(await census(host))} open, not ${JSON.stringify(expected)}`, { cause: error });
  });
}

/** The relay learns that a socket is closed a moment after the socket's worker is gone. */
async function socketsSettle(server: ServerProcess, expected: number): Promise<void> {
  await pollFor(`the relay to have ${expected} sockets open`, async () => (await relaySockets(server)) === expected, SETTLED_LIMIT_MS);
}

test.describe('A8', () => {
  test('after a migration the source has no worker, no channel and no relay port left', async ({ server, openHost }) => {
    const before = countConnections;
    const source = await openHost({ label: 'source', before });
    const vm = await source.runningVm();
    const target = await openHost({ label: 'target', before });
    await target.waitForGuest();
    await waitForWebRtc(source);
    const idle = (await census(target)).dataChannels;
    const sockets = await relaySockets(server);

    const report = await source.migrate(vm.id, await target.id(), { maxPauseMs: 5000 });
    expect(report).toMatchObject({ outcome: 'completed' });
    await settlesAt(source, { workers: 0, dataChannels: idle });
    await settlesAt(target, { workers: 1, dataChannels: idle });
    await socketsSettle(server, sockets);

    // And back: the same is left as then.
    expect(await target.migrate(vm.id, await source.id(), { maxPauseMs: 5000 })).toMatchObject({ outcome: 'completed' });
    await settlesAt(source, { workers: 1, dataChannels: idle });
    await settlesAt(target, { workers: 0, dataChannels: idle });
    await socketsSettle(server, sockets);
  });

  test('after a cancelled migration the target has nothing left, and the VM runs on at the source', async ({ server, openHost }) => {
    const before = countConnections;
    const source = await openHost({ label: 'source', before });
    const vm = await source.runningVm();
    const target = await openHost({ label: 'target', before });
    await target.waitForGuest();
    await waitForWebRtc(source);
    const idle = (await census(target)).dataChannels;
    const sockets = await relaySockets(server);

    // Slow enough that it is still in its first round when it is cancelled.
    const migration = source.migrate(vm.id, await target.id(), { bandwidthBytesPerSecond: 20_000 });
    await pollFor('the migration to be under way', async () => (await source.vm(vm.id))?.state === 'migrating');
    await pollFor('a worker for the arriving VM', async () => (await census(target)).workers === 1);
    await target.cancel(vm.id);
    const report = await migration;
    expect(report.outcome).toBe('cancelled');
    expect(report.reason).toMatch(/\w+ \w+/);
    await settlesAt(target, { workers: 0, dataChannels: idle });
    await settlesAt(source, { workers: 1, dataChannels: idle });
    await socketsSettle(server, sockets);
    expect(await source.vm(vm.id)).toMatchObject({ state: 'running', epoch: vm.epoch });
    expect((await source.run(vm.id, 'echo still here')).output).toBe('still here');
  });
});
