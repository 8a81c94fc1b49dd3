/** Child of quiet-room.ts: measures for as long as its parent is there. */
import { DisposableBag } from '../../src/shared/disposable.ts';
import { Stranger } from './stranger.ts';

const MESSAGE_EVERY_MS = 50;
const stranger = new Stranger(process.argv[2] ?? '', '127.0.0.2');
const open = new DisposableBag();
const here = await stranger.host('quiet', 'quiet-a', open);
const there = await stranger.host('quiet', 'quiet-b', open);
await stranger.vm(here, open);

let pings: number[] = [];
let lostPings = 0;
let messages: number[] = [];
here.client.onPing(({ rttMs }) => {
  if (rttMs === null) lostPings++;
  else pings.push(rttMs);
});
there.client.onMessage(({ hostId, body }) => there.client.sendToHost(hostId, body));
here.client.onMessage(({ body }) => messages.push(performance.now() - Number(body)));
setInterval(() => here.client.sendToHost(there.credentials.hostId, performance.now()), MESSAGE_EVERY_MS);

function p99(figures: readonly number[]): number | null {
  const sorted = figures.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? null;
}

process.on('message', () => {
  process.send?.({ pings: pings.length, lostPings, pingP99: p99(pings), messages: messages.length, messageP99: p99(messages) });
  pings = [];
  lostPings = 0;
  messages = [];
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
