/** Sixty hosts with a VM each in one room: how many messages the pings make. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DisposableBag } from '../../src/shared/disposable.ts';
import type { Verdict } from './attack.ts';
import type { SoakedServer } from './soaked-server.ts';
import { Stranger } from './stranger.ts';

const HOSTS = 60;
const PINGS_PER_SECOND = 10;
const MEASURED_MS = 10_000;

export async function fullRoom(server: SoakedServer, hosts = HOSTS, measuredMs = MEASURED_MS): Promise<readonly Verdict[]> {
  const open = new DisposableBag();
  const stranger = new Stranger(server.origin, '127.0.3.1');
  let messages = 0;
  try {
    for (let number = 0; number < hosts; number++) {
      const host = await stranger.host('full', `h${number}`, open);
      await stranger.vm(host, open);
      // A raw socket beside the client, because the client's listeners get samples and not messages.
      const listener = await stranger.rawHost('full', `listener${number}`, open);
      if (typeof listener !== 'string') {
        listener.on('message', (data: Buffer) => {
          if (data.subarray(0, 16).includes('"ping')) messages++;
        });
      }
    }
    await sleep(2000);
    messages = 0;
    await sleep(measuredMs);
    const perSecond = (messages * 1000) / measuredMs;
    const everyPingToEveryHost = hosts * hosts * PINGS_PER_SECOND;
    return [
      {
        claim: 'ping messages do not grow as hosts × VMs',
        holds: perSecond <= 2 * hosts * PINGS_PER_SECOND,
        figures: `${perSecond.toFixed(0)} a second to ${hosts} hosts; each ping to each host would be ${everyPingToEveryHost}`,
      },
    ];
  } finally {
    open.dispose();
  }
}
