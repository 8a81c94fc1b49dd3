import { setTimeout as sleep } from 'node:timers/promises';
import { grewLittle, refusedAs, type Attack } from '../attack.ts';
import { sent } from '../stranger.ts';

const MIB = 1024 * 1024;
const path = (id: string): string => `/peerjs/peerjs?key=peerjs&id=${id}&token=token`;
const offer = (bytes: number): string => JSON.stringify({ type: 'OFFER', dst: 'deaf', payload: { sdp: 'x'.repeat(bytes) } });

export const signallingMemory: Attack = {
  name: 'signalling-memory',
  title: 'sends long messages, and many to a peer that does not read, through the signalling server',
  resisted: true,
  async run({ server, stranger, length, open }) {
    const before = await server.figures();
    const start = server.held().memoryMiB;
    const deaf = await stranger.socket(path('deaf'), open);
    if (typeof deaf === 'number') throw new Error(`The signalling server answered ${deaf}.`);
    deaf.pause();
    let peak = start;
    for (let round = 0; round < (length === 'short' ? 4 : 16); round++) {
      const speaker = await stranger.socket(path(`speaker${round}`), open);
      if (typeof speaker === 'number') continue;
      for (let count = 0; count < 100; count++) await sent(speaker, offer(50_000));
      await sent(speaker, offer(8 * MIB));
      await sleep(200);
      peak = Math.max(peak, server.held().memoryMiB);
    }
    const after = await server.figures();
    return [refusedAs('too-long', before, after), grewLittle(start, peak, 150)];
  },
};
