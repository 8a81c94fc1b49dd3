import { expect, it } from 'vitest';
import { RoomMachine } from './testing/room-machine.ts';

it('diagnostics hold what happened in a tab, step by step, and no key, token or password', async () => {
  const machine = new RoomMachine(1);
  const [a, b] = [machine.open(), machine.open()];
  await machine.pass(10_000);
  const [vm] = a.tab.vms();
  if (vm === undefined) throw new Error('A tab that is the first in its room starts a VM.');
  const moved = a.tab.migrate(vm.id, b.tab.host.id);
  await machine.pass(10_000);
  const report = await moved;
  expect(report.outcome).toBe('completed');
  const diagnostics = await a.tab.diagnostics();
  expect(diagnostics).toMatchObject({
    browser: 'the room machine',
    address: 'http://relay/?name=tab%20a',
    room: 'default',
    host: { id: a.tab.host.id, name: 'tab a' },
    trouble: null,
    vms: [{ id: vm.id, hostId: b.tab.host.id }],
    reports: [{ report: { id: report.id } }],
    server: { unreachable: 'The server cannot be reached. Try again in a moment.' },
  });
  const steps = diagnostics.trace.entries.map(({ subject, step }) => `${subject}: ${step}`);
  expect(steps).toContain(`${vm.id}: here: starting`);
  const inOrder = [
    'room: joined',
    'pc1: here: running -> migrating',
    'pc1: source: offering -> preparing',
    'pc1: source: copying -> holding',
    'pc1: source: handing-over -> committing',
    'pc1: here: migrating -> gone',
  ];
  expect(steps.filter((step) => inOrder.includes(step))).toEqual(inOrder);
  const text = JSON.stringify(diagnostics);
  const { invitation, vms } = b.tab.view();
  const secrets = [new URL(invitation).hash.slice(1), ...vms.map(({ password }) => password ?? '')];
  expect(secrets.map(({ length }) => length >= 8)).toEqual([true, true]);
  for (const secret of secrets) expect(text).not.toContain(secret);
});
