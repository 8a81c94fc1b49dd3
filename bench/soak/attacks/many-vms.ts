import { setTimeout as sleep } from 'node:timers/promises';
import { DisposableBag } from '../../../src/shared/disposable.ts';
import type { Attack } from '../attack.ts';

const VMS_OF_A_HOST = 32;

export const manyVms: Attack = {
  name: 'many-vms',
  title: 'makes VMs that never run, for the ports they take, and leaves',
  resisted: true,
  async run({ server, stranger, length, open }) {
    const before = server.held();
    let made = 0;
    let refusal = '';
    let most = before.listeners;
    for (let number = 0; number < (length === 'short' ? 6 : 96); number++) {
      const mine = open.add(new DisposableBag());
      try {
        const host = await stranger.host(`many-vms${Math.floor(number / 8)}`, `h${number}`, mine);
        for (let count = 0; count < VMS_OF_A_HOST; count++) {
          await host.client.createVm({ memoryBytes: 128 * 1024 * 1024 });
          made++;
        }
      } catch (error) {
        refusal = error instanceof Error ? error.message : String(error);
      }
      most = Math.max(most, server.held().listeners);
      mine.dispose();
    }
    await sleep(2000);
    const after = server.held();
    return [
      {
        claim: 'a VM that nobody runs listens on no port',
        holds: most - before.listeners < 64,
        figures: `${before.listeners} to ${most} listeners, ${made} VMs made${refusal === '' ? '' : `; ${refusal}`}`,
      },
      { claim: 'listeners are given back when he leaves', holds: after.listeners - before.listeners < 8, figures: `${after.listeners} afterwards` },
    ];
  },
};
