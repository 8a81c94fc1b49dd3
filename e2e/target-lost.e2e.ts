/** A9: the target's tab goes away before the commit, in each phase; the VM runs on and can be moved elsewhere. */
import type { MigrationPhase, MigrationReport } from '../src/migration/report.ts';
import { forgetPhases, recordWorkers, toldPhase } from './harness/copies.ts';
import { pollFor } from './harness/poll-for.ts';
import { reported } from './harness/reported.ts';
import { expect, test } from './harness/test.ts';
import { shimWorkers } from './harness/worker-shim.ts';

const PHASES: readonly MigrationPhase[] = ['offer', 'prepare', 'rounds', 'hold', 'switchover'];

test("A9: the target's tab is closed in phase offer, prepare, rounds, hold or switchover; the VM runs on at the source and then moves elsewhere", async ({
  openHost,
  room,
  server,
}) => {
  test.setTimeout(600_000);
  // The source falls silent in that phase, so that the phase lasts until the target is gone.
  const source = await openHost({
    label: 'source',
    before: async (page) => {
      await shimWorkers(page, { faults: PHASES.map((phase) => ({ at: { phase }, what: { type: 'silence' } })) });
      await recordWorkers(page);
    },
  });
  const vm = await source.runningVm();
  await source.waitForPrompt(vm.id);
  const reports: MigrationReport[] = [];
  for (const phase of PHASES) {
    await test.step(phase, async () => {
      const target = await openHost({ label: `target, ${phase}` });
      const targetId = await target.id();
      await target.waitForGuest();

      // A pause as long as it takes on a busy machine: what is tested comes after it was decided on.
      await forgetPhases(source);
      const migration = source.migrate(vm.id, targetId, { maxPauseMs: 5000 });
      await pollFor(`phase ${phase}`, () => toldPhase(source, phase), 60_000);
      await target.page.close({ runBeforeUnload: false });
      const report = await reported(migration);
      expect(report).toMatchObject({ outcome: 'failed', vmId: vm.id, to: targetId });
      expect(report.reason).toMatch(/\w+ \w+/);
      reports.push(report);

      expect((await source.run(vm.id, 'echo still here')).output).toBe('still here');
      const after = await source.vm(vm.id);
      expect(after).toMatchObject({ state: 'running', hostId: await source.id(), mac: vm.mac, ip: vm.ip });
    });
  }

  const elsewhere = await openHost({ label: 'elsewhere' });
  await elsewhere.waitForGuest();
  // The new tab was not there during the tries, but it sees how they ended, as something past.
  for (const { reason } of reports) await expect(elsewhere.page.getByTestId('migration-log')).toContainText(reason ?? 'no reason');
  await expect(elsewhere.page.getByTestId('migration-result')).toHaveAttribute('data-migration-id', reports.at(-1)?.id ?? '');
  await expect(elsewhere.page.getByTestId('headline')).not.toContainText('did not move');
  expect(await source.migrate(vm.id, await elsewhere.id(), { maxPauseMs: 5000 })).toMatchObject({ outcome: 'completed' });
  expect((await elsewhere.run(vm.id, 'echo arrived')).output).toBe('arrived');
  const { vms } = await room.describe(server.origin);
  expect(vms.map(({ id, ownerHostId }) => ({ id, ownerHostId }))).toEqual([{ id: vm.id, ownerHostId: await elsewhere.id() }]);
});
