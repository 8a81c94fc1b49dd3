/** Thirty rooms, each with two hosts and a VM that moves, is pinged and sends: none of this may hit a limit. */
import { setTimeout as sleep } from 'node:timers/promises';
import { udpFrame } from '../network/udp-frame.ts';
import { DisposableBag } from '../../src/shared/disposable.ts';
import type { Verdict } from './attack.ts';
import { handOver } from './handover.ts';
import type { SoakedServer } from './soaked-server.ts';
import { Stranger } from './stranger.ts';

const ROOMS = 30;
const MOVE_EVERY_MS = 5000;
const SEND_EVERY_MS = 50;
const FRAMES_AT_ONCE = 10;

export async function ordinaryRooms(server: SoakedServer, durationMs: number): Promise<readonly Verdict[]> {
  const open = new DisposableBag();
  // A class behind one router: all hosts have the same address.
  const stranger = new Stranger(server.origin, '127.0.2.1');
  let moves = 0;
  let pings = 0;
  let lost = 0;
  let undelivered = 0;
  const troubles: string[] = [];
  const room = async (number: number): Promise<void> => {
    const name = `ordinary${number}`;
    const hosts = [await stranger.host(name, 'a', open), await stranger.host(name, 'b', open)] as const;
    let vm = await stranger.vm(hosts[0], open, `pc${number}`);
    hosts[0].client.onPing(({ rttMs }) => (rttMs === null ? lost++ : pings++));
    hosts[0].client.onUndeliverable(() => undelivered++);
    const frame = udpFrame({ from: { ...vm.vm, port: 5 }, to: { mac: 'ff:ff:ff:ff:ff:ff', ip: vm.vm.gateway, port: 5 }, bytes: 1000 });
    const end = performance.now() + durationMs;
    for (let move = 0; performance.now() < end; move++) {
      const next = Math.min(end, performance.now() + MOVE_EVERY_MS);
      while (performance.now() < next) {
        for (let count = 0; count < FRAMES_AT_ONCE; count++) vm.nic.send(frame);
        hosts[0].client.sendToHost(hosts[1].credentials.hostId, 'x'.repeat(2000));
        await sleep(SEND_EVERY_MS);
      }
      const [from, to] = move % 2 === 0 ? [hosts[0], hosts[1]] : [hosts[1], hosts[0]];
      vm = await handOver(stranger, vm, from, to, `move${number}-${move}`, open);
      moves++;
    }
  };
  const before = await server.figures();
  const began = await Promise.allSettled(Array.from({ length: ROOMS }, (_, number) => room(number)));
  for (const result of began) if (result.status === 'rejected') troubles.push(String(result.reason));
  const after = await server.figures();
  const refused = after.under('refusals') - before.under('refusals');
  const limited = after.counted('over-rate') - before.counted('over-rate');
  open.dispose();
  return [
    { claim: 'every room works to the end', holds: troubles.length === 0, figures: `${moves} moves; ${troubles[0] ?? 'no trouble'}` },
    { claim: 'nothing is refused', holds: refused === 0 && undelivered === 0, figures: `${refused} refusals, ${undelivered} messages undelivered` },
    { claim: 'no frame meets a limit', holds: limited === 0, figures: `${limited} dropped` },
    { claim: 'pings are answered', holds: pings > 0 && lost <= pings / 1000, figures: `${pings} answered, ${lost} lost` },
  ];
}
