import { setTimeout as sleep } from 'node:timers/promises';
import type { Attack } from '../attack.ts';

const UPGRADE =
  'GET /nope HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

export const halfOpen: Attack = {
  name: 'half-open',
  title: 'asks for sockets that are refused, and never closes its side',
  resisted: true,
  async run({ server, stranger, length, open }) {
    const before = server.held().descriptors;
    const many = length === 'short' ? 200 : 1500;
    for (let made = 0; made < many; made++) {
      stranger.connection(UPGRADE, open).resume();
      if (made % 100 === 99) await sleep(20);
    }
    await sleep(4500);
    const after = server.held().descriptors;
    return [
      { claim: 'descriptors are given back while the other side stays', holds: after - before < many / 10, figures: `${before} to ${after}, ${many} refused` },
    ];
  },
};
