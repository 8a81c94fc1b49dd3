/** What one client sends as fast as it can. Each is told by what the others feel, and by what the server refuses. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import { udpFrame } from '../../network/udp-frame.ts';
import type { Attack, Attacked, Verdict } from '../attack.ts';
import { sent } from '../stranger.ts';

const duration = ({ length }: Attacked): number => (length === 'short' ? 2000 : 10_000);

/** Sends `text` in handfuls until the time is over or the socket is closed. */
async function floodWith(socket: WebSocket, text: string, handful: number, durationMs: number): Promise<number> {
  const end = performance.now() + durationMs;
  let count = 0;
  while (performance.now() < end && socket.readyState === socket.OPEN) {
    for (let number = 1; number < handful; number++) socket.send(text);
    await sent(socket, text);
    await sleep(0);
    count += handful;
  }
  return count;
}

/** What holds if the flood met a limit: its socket was closed, or what it sent waits for its turn. */
async function bounded(socket: WebSocket, count: number, attacked: Attacked, perSecond: number): Promise<Verdict[]> {
  const rate = (count / duration(attacked)) * 1000;
  await sleep(200);
  const closed = socket.readyState !== socket.OPEN;
  return [{ claim: `slowed or closed (under ${perSecond} a second)`, holds: closed || rate < perSecond, figures: `${count} sent, ${rate.toFixed(0)} a second${closed ? ', closed' : ''}` }];
}

export const smallMessages: Attack = {
  name: 'small-messages',
  title: 'sends one-byte messages to itself without a pause',
  resisted: false,
  async run(attacked) {
    const socket = await attacked.stranger.rawHost('small-messages', 'a', attacked.open);
    if (typeof socket === 'string') throw new Error(socket);
    const count = await floodWith(socket, JSON.stringify({ type: 'to-host', hostId: 'a', body: 1 }), 200, duration(attacked));
    return bounded(socket, count, attacked, 2000);
  },
};

export const longMessages: Attack = {
  name: 'long-messages',
  title: 'sends 200 kB to all of a room of 60 hosts without a pause',
  resisted: false,
  async run(attacked) {
    const { stranger, open } = attacked;
    const speaker = await stranger.rawHost('long-messages', 'speaker', open);
    if (typeof speaker === 'string') throw new Error(speaker);
    for (let count = 0; count < 59; count++) await stranger.rawHost('long-messages', `h${count}`, open);
    const count = await floodWith(speaker, JSON.stringify({ type: 'to-room', body: 'x'.repeat(200_000) }), 1, duration(attacked));
    return bounded(speaker, count, attacked, 20);
  },
};

export const frames: Attack = {
  name: 'frames',
  title: 'sends frames from one VM to another as fast as it can',
  resisted: true,
  async run(attacked) {
    const { stranger, open, server } = attacked;
    const host = await stranger.host('frames', 'a', open);
    const from = await stranger.vm(host, open);
    const to = await stranger.vm(host, open);
    const frame = udpFrame({ from: { ...from.vm, port: 5 }, to: { ...to.vm, port: 5 }, bytes: 98 });
    const before = (await server.figures()).counted('over-rate');
    const end = performance.now() + duration(attacked);
    let count = 0;
    while (performance.now() < end) {
      for (let number = 0; number < 640; number++) from.nic.send(frame);
      count += 640;
      await sleep(5);
    }
    const dropped = (await server.figures()).counted('over-rate') - before;
    return [{ claim: 'dropped as over-rate', holds: dropped > 0, figures: `${dropped} of ${count}` }];
  },
};
