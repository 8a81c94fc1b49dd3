import { setTimeout as sleep } from 'node:timers/promises';
import { grewLittle, type Attack } from '../attack.ts';
import { sent } from '../stranger.ts';

export const deafHosts: Attack = {
  name: 'deaf-hosts',
  title: 'fills a room with hosts that do not read, and speaks to all of them',
  resisted: true,
  async run({ server, stranger, length, open }) {
    const speaker = await stranger.rawHost('deaf-hosts', 'speaker', open);
    if (typeof speaker === 'string') throw new Error(speaker);
    for (let count = 0; count < (length === 'short' ? 30 : 60); count++) {
      const host = await stranger.rawHost('deaf-hosts', `deaf${count}`, open);
      if (typeof host !== 'string') host.pause();
    }
    const start = server.held().memoryMiB;
    let peak = start;
    const body = JSON.stringify({ type: 'to-room', body: 'x'.repeat(220_000) });
    for (let count = 0; count < 36; count++) {
      await sent(speaker, body);
      await sleep(100);
      peak = Math.max(peak, server.held().memoryMiB);
    }
    return [grewLittle(start, peak, 100)];
  },
};
