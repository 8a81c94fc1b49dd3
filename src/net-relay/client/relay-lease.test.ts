import { describeLeaseContract } from '../../migration/testing/lease-contract.ts';
import type { HostId, MigrationId } from '../../shared/ids.ts';
import { TestNic } from '../testing/relay-harness.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

describeLeaseContract('the relay, through its clients', async () => {
  const lan = new VirtualLan();
  const vm = await lan.createVm(lan.host('a'));
  lan.host('b');
  const owner = lan.own('a', vm, new TestNic());
  const target = lan.target('b', vm, new TestNic(), 'm1', 'a');
  await lan.pass(10);
  return {
    source: owner.sourceLease('m1' as MigrationId, 'b' as HostId),
    target: target.targetLease(),
    settled: (promise) => lan.settled(promise),
    async until(reached) {
      for (let tries = 0; tries < 100 && !reached(); tries++) await lan.pass(10);
      if (!reached()) throw new Error('It never came to that.');
    },
    letTheTargetStaySilent: () => lan.pass(2500),
    dispose: () => lan.dispose(),
  };
});
