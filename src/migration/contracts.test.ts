/** The models that the engine's tests use keep the same promises as the real ports. */
import { ModelArbiter, TAKE_BACK_MS } from './testing/model-arbiter.ts';
import { ModelVm } from './testing/model-vm.ts';
import { describeLeaseContract } from './testing/lease-contract.ts';
import { describeLinkContract } from './testing/link-contract.ts';
import { memoryLinkPair } from './testing/memory-link.ts';
import { describeVmContract } from './testing/vm-contract.ts';
import { settle, World } from './testing/world.ts';

describeLinkContract('The link in memory', () => {
  const pair = memoryLinkPair();
  return {
    left: pair.source,
    right: pair.target,
    async until(reached) {
      for (let steps = 0; steps < 10_000 && !reached(); steps++) {
        for (const lane of pair.lanes) lane.deliver();
        await settle();
      }
      if (!reached()) throw new Error('It never came to that');
    },
    dispose: () => pair.cut(),
  };
});

/** Lets the world go on until `promise` settles. */
async function settledIn<T>(world: World, promise: Promise<T>): Promise<T> {
  let settled = false;
  const noted = promise.finally(() => {
    settled = true;
  });
  noted.catch(() => undefined);
  await world.run(() => settled);
  return noted;
}

describeLeaseContract('The model of the relay', () => {
  const world = new World(1);
  const arbiter = new ModelArbiter(world, world.addHost('relay'));
  return {
    source: arbiter.sourceLease(world.addHost('source')),
    target: arbiter.targetLease(world.addHost('target')),
    settled: (promise) => settledIn(world, promise),
    until: async (reached) => {
      if (!(await world.run(reached))) throw new Error('It never came to that');
    },
    letTheTargetStaySilent: async () => {
      const end = world.clock.now() + TAKE_BACK_MS;
      await world.run(() => world.clock.now() >= end);
    },
    dispose: () => undefined,
  };
});

describeVmContract('The model of a VM', () => {
  const world = new World(3);
  const source = ModelVm.running({ host: world.addHost('source'), random: world.random });
  const target = new ModelVm({ host: world.addHost('target'), random: world.random });
  return {
    source,
    target,
    letGuestWrite: async () => {
      for (let steps = 0; steps < 20; steps++) await world.step();
    },
    settled: (promise) => settledIn(world, promise),
    dispose: () => undefined,
  };
});
