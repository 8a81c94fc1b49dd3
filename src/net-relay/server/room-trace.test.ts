import { afterEach, beforeEach, expect, it } from 'vitest';
import type { HostId, MigrationId } from '../../shared/ids.ts';
import { TestNic } from '../testing/relay-harness.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

let lan: VirtualLan;
beforeEach(() => (lan = new VirtualLan()));
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

it('names each step of a handover, and nothing that is secret', async () => {
  const [source, target] = [lan.host('source'), lan.host('target')];
  const vm = await lan.createVm(source);
  const lease = lan.own('source', vm, new TestNic()).sourceLease('m1' as MigrationId, 'target' as HostId);
  const arriving = lan.target('target', vm, new TestNic(false), 'm1', 'source').targetLease();
  await lan.pass(20);
  await expect(lan.settled(arriving.commit())).rejects.toThrow();
  await lan.settled(lease.hold());
  const commit = arriving.commit();
  await lan.pass(20);
  await lan.settled(lease.drained());
  await lan.settled(commit);
  await lan.settled(Promise.resolve(arriving.alive()));
  target.dispose();
  await lan.pass(20);
  const key = lan.relay.defaultRoomKey;
  const { now, entries } = lan.relay.trace('default', key)!;
  expect(now).toBe(lan.clock.now());
  expect(entries.map(({ subject, step }) => `${subject}: ${step}`)).toEqual([
    'source: joined as source',
    `pc1: created by source as ${vm.vmId}`,
    'target: joined as target',
    'pc1: port of source attached as owner, epoch 1',
    'pc1: port of target attached as target, epoch 1',
    'pc1: commit of target (m1): refused: The source has not handed the VM over.',
    'pc1: hold of source (m1): owned -> holding, owner source, epoch 1',
    'pc1: commit of target (m1): waits for drained',
    'pc1: drained of source (m1): holding -> drained, owner source, epoch 1',
    'pc1: commit of target (m1): drained -> committed-unconfirmed, owner target, epoch 2',
    'pc1: alive of target: committed-unconfirmed -> owned, owner target, epoch 2',
    'target: left',
  ]);
  for (const secret of [key, 'token-of-', lan.relay.defaultOwnerSecret]) expect(JSON.stringify(entries)).not.toContain(secret);
});

it('is for who has the key of the room, and of that room alone', async () => {
  lan.host('mine');
  await lan.pass(20);
  expect(lan.relay.trace('default', 'x'.repeat(22))).toBe(null);
  expect(lan.relay.trace('elsewhere', lan.relay.defaultRoomKey)).toBe(null);
  expect(lan.relay.trace('default', lan.relay.defaultRoomKey)?.entries).toHaveLength(1);
});
