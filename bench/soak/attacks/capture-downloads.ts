import { setTimeout as sleep } from 'node:timers/promises';
import { grewLittle, type Attack } from '../attack.ts';
import { keyOf } from '../stranger.ts';

const ROOM = 'capture-downloads';
const FRAME_BYTES = 1514;

export const captureDownloads: Attack = {
  name: ROOM,
  title: 'downloads a capture many times and reads nothing',
  resisted: true,
  async run({ server, stranger, length, open }) {
    const headers = { authorization: `Bearer ${keyOf(ROOM)}` };
    const host = await stranger.host(ROOM, 'a', open);
    const { vm, nic } = await stranger.vm(host, open);
    await stranger.ask(`/api/rooms/${ROOM}/capture`, { method: 'PUT', headers });
    const frame = new Uint8Array(FRAME_BYTES).fill(255, 0, 6);
    frame.set(
      vm.mac.split(':').map((octet) => Number.parseInt(octet, 16)),
      6,
    );
    frame.set([0x08, 0x00, 0x45], 12);
    frame.set(vm.ip.split('.').map(Number), 26);
    for (let count = 0; count < (length === 'short' ? 6000 : 24_000); count++) {
      nic.send(frame);
      if (count % 200 === 199) await sleep(10);
    }
    const start = server.held().memoryMiB;
    let refused = 0;
    for (let count = 0; count < 20; count++) {
      const connection = stranger.connection(
        `GET /api/rooms/${ROOM}/capture.pcap HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${headers.authorization}\r\n\r\n`,
        open,
      );
      connection.once('data', (data: Buffer) => {
        if (data.includes(' 429 ')) refused++;
        connection.pause();
      });
    }
    await sleep(3000);
    return [
      { claim: 'one download of a room at once', holds: refused === 19, figures: `${refused} of 20 refused` },
      grewLittle(start, server.held().memoryMiB, 64),
    ];
  },
};
