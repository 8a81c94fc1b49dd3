/** Floods: one client sends as fast as it can. Each is judged by what others notice, and by what the server refuses. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import { udpFrame } from '../../network/udp-frame.ts';
import type { Attack, Attacked, Verdict } from '../attack.ts';
import { SOCKET_PACE } from '../../../src/net-relay/limits/server-limits.ts';
import { sent } from '../stranger.ts';

const duration = ({ length }: Attacked): number => (length === 'short' ? 2000 : 10_000);

/** Sends `text` in batches of `handful`, as fast as the system's own buffers take it, until the time is over or the socket is closed. */
async function floodWith(socket: WebSocket, text: string, handful: number, durationMs: number): Promise<void> {
  const end = performance.now() + durationMs;
  while (performance.now() < end && socket.readyState === socket.OPEN) {
    for (let number = 1; number < handful; number++) socket.send(text);
    // If the server reads the socket slowly, the text is not taken in the time that is left.
    await Promise.race([sent(socket, text), sleep(end - performance.now())]);
    await sleep(0);
  }
}

/** Counts what a host hears that goes beyond heartbeats and lists. */
function countHeard(socket: WebSocket): () => number {
  let heard = 0;
  socket.on('message', (data: Buffer) => void (heard += data.subarray(0, 30).toString().includes('"from-host"') ? 1 : 0));
  return () => heard;
}

/** The verdict on a flood that began at `began`: the relay passes on a burst, and after it no more than `perSecond`. */
function bounded(heard: number, began: number, burst: number, perSecond: number): Verdict[] {
  const rate = Math.max(0, heard - burst) / ((performance.now() - began) / 1000);
  return [
    {
      claim: `passed on at ${perSecond} a second at most, beyond ${burst}`,
      holds: rate <= perSecond * 1.1,
      figures: `${heard} passed on, ${rate.toFixed(0)} a second`,
    },
  ];
}

export const smallMessages: Attack = {
  name: 'small-messages',
  title: 'sends one-byte messages to itself without a pause',
  resisted: true,
  async run(attacked) {
    const socket = await attacked.stranger.rawHost('small-messages', 'a', attacked.open);
    if (typeof socket === 'string') throw new Error(socket);
    const heard = countHeard(socket);
    const began = performance.now();
    await floodWith(socket, JSON.stringify({ type: 'to-host', hostId: 'a', body: 1 }), 200, duration(attacked));
    return bounded(heard(), began, SOCKET_PACE.messageBurst, SOCKET_PACE.messagesPerSecond);
  },
};

export const longMessages: Attack = {
  name: 'long-messages',
  title: 'sends 200 kB to all of a room of 60 hosts without a pause',
  resisted: true,
  async run(attacked) {
    const { stranger, open } = attacked;
    const speaker = await stranger.rawHost('long-messages', 'speaker', open);
    if (typeof speaker === 'string') throw new Error(speaker);
    const listener = await stranger.rawHost('long-messages', 'listener', open);
    if (typeof listener === 'string') throw new Error(listener);
    for (let count = 0; count < 58; count++) await stranger.rawHost('long-messages', `h${count}`, open);
    const heard = countHeard(listener);
    const began = performance.now();
    const bytes = 200_000;
    await floodWith(speaker, JSON.stringify({ type: 'to-room', body: 'x'.repeat(bytes) }), 1, duration(attacked));
    return bounded(heard(), began, Math.ceil(SOCKET_PACE.byteBurst / (60 * bytes)) + 1, SOCKET_PACE.bytesPerSecond / (60 * bytes));
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
