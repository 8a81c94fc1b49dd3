import { setTimeout as sleep } from 'node:timers/promises';
import type { LeaseEpoch, VmId } from '../../../src/shared/ids.ts';
import { keyOf } from '../stranger.ts';
import type { Attack } from '../attack.ts';

/** The server forwards this port to the PC called `web` (`--forward`). */
export const FORWARDED_PORT = 18_081;
const ROOM = 'stolen-forward';

export const stolenForward: Attack = {
  name: ROOM,
  title: "calls his PC as the operator's, to get the port that is led to that name",
  resisted: true,
  async run({ stranger, open }) {
    const host = await stranger.host(ROOM, 'a', open);
    const { vm } = await stranger.vm(host, open, 'web');
    await sleep(500);
    const { text } = await stranger.ask(`/api/rooms/${ROOM}/forwards`, { headers: { authorization: `Bearer ${keyOf(ROOM)}` } });
    // The attack is repeated, and the number of PCs of a host is limited.
    await host.client.destroyVm(vm.vmId as VmId, vm.epoch as LeaseEpoch);
    return [{ claim: "he gets his own ports, not the operator's", holds: !text.includes(String(FORWARDED_PORT)), figures: text.slice(0, 120) }];
  },
};
