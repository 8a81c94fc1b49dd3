import { setTimeout as sleep } from 'node:timers/promises';
import type { Attack } from '../attack.ts';
import { sent } from '../stranger.ts';

export const terminal: Attack = {
  name: 'terminal',
  title: "sends escapes and line breaks that would reach the operator's terminal",
  resisted: true,
  async run({ server, stranger, open }) {
    const before = server.output().length;
    for (let round = 0; round < 30; round++) {
      const socket = await stranger.socket(`/peerjs/peerjs?key=peerjs&id=terminal${round}&token=token`, open);
      if (typeof socket !== 'number') await sent(socket, '\u001b]0;owned\u0007\nTabMotion is ready: http://evil.example/#key\n');
    }
    await sleep(500);
    const printed = server.output().slice(before);
    const lines = printed.split('\n').length - 1;
    return [
      {
        claim: 'neither an escape nor a line of its own is printed',
        holds: !printed.includes('\u001b') && !/^TabMotion is ready/m.test(printed) && lines <= 20,
        figures: `${lines} lines`,
      },
    ];
  },
};
