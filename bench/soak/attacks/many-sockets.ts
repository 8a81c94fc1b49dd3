import { setTimeout as sleep } from 'node:timers/promises';
import type { Attack } from '../attack.ts';

export const manySockets: Attack = {
  name: 'many-sockets',
  title: 'joins 40 rooms with thousands of sockets',
  resisted: true,
  async run({ server, stranger, length, open }) {
    const many = length === 'short' ? 400 : 4300;
    let joined = 0;
    let next = 0;
    let slowestMs = 0;
    const joiner = async (): Promise<void> => {
      while (next < many) {
        const number = next++;
        const host = await stranger.rawHost(`many-sockets${number % 40}`, `h${number}`, open);
        if (typeof host !== 'string') joined++;
      }
    };
    let joining = true;
    const joiners = Promise.all(Array.from({ length: 20 }, joiner)).finally(() => (joining = false));
    while (joining) {
      const asked = performance.now();
      await server.figures();
      slowestMs = Math.max(slowestMs, performance.now() - asked);
      await sleep(100);
    }
    await joiners;
    return [
      {
        claim: 'one address gets less than 1000 sockets',
        holds: joined < 1000,
        figures: `${joined} of ${many} joined, slowest answer ${slowestMs.toFixed(0)} ms`,
      },
    ];
  },
};
