/**
 * `npm run soak:server`: what a stranger can do to the server, one verdict a line, on loopback; kept for every release.
 * First each attack alone beside a quiet room, on a server of its own; then all at once, for `--minutes` (10); then many
 * ordinary rooms (`--minutes` halved), and one full one. `-- --only NAME` runs one attack, or `alone` (each of them), `together`, `ordinary`, `full`.
 */
import { constants, setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Attack, Verdict } from './attack.ts';
import { ATTACKS } from './attacks/all.ts';
import { FORWARDED_PORT } from './attacks/stolen-forward.ts';
import { fullRoom } from './full-room.ts';
import { ordinaryRooms } from './ordinary-rooms.ts';
import { openQuietRoom } from './quiet-room.ts';
import { attack, gaveBack, newRoomOpens, quietFor, stayedQuiet, wentOn } from './soak.ts';
import { startSoakedServer, type SoakedServer } from './soaked-server.ts';

const IN_SERVICE_MS = 30_000;
const SETTLE_MS = 3000;
/** Enough for some three hundred pings: of a hundred, the p99 would be the second slowest, which any other process on the machine decides. */
const QUIET_MS = 30_000;
const REST_MS = 60_000;
const SERVER_ARGS = ['--forward', `${FORWARDED_PORT}:web:80`];

const { values: options } = parseArgs({ options: { only: { type: 'string' }, minutes: { type: 'string', default: '10' } } });
const durationMs = Number(options.minutes) * 60_000;
let failed = 0;

function print(part: string, verdicts: readonly Verdict[]): void {
  for (const { claim, holds, figures } of verdicts) {
    if (!holds) failed++;
    console.log(`${holds ? 'ok    ' : 'FAILED'} ${part}: ${claim} (${figures})`);
  }
}

const isAttack = (part: string): boolean => ATTACKS.some(({ name }) => name === part);

async function withServer(part: string, work: (server: SoakedServer) => Promise<readonly Verdict[]>): Promise<void> {
  if (options.only !== undefined && options.only !== part && !(options.only === 'alone' && isAttack(part))) return;
  const server = await startSoakedServer(SERVER_ARGS);
  try {
    print(part, await work(server));
    print(part, [{ claim: 'the server lives', holds: server.lives(), figures: '' }]);
  } catch (error) {
    print(part, [{ claim: 'runs to its end', holds: false, figures: String(error) }]);
  } finally {
    await server.stop();
  }
}

/**
 * Strangers have their own machines; here they share the server's cores, and a quiet room would wait for their work as
 * much as for the server's. So their process lowers its priority, except where it is not allowed to raise it again.
 */
async function yielding<T>(work: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return work();
  setPriority(constants.priority.PRIORITY_LOW);
  try {
    return await work();
  } finally {
    setPriority(constants.priority.PRIORITY_NORMAL);
  }
}

/** Some attacks end before the next ping. Of a few samples the slowest would be the p99, so we repeat an attack until there are as many as before. */
async function goOnWith(server: SoakedServer, what: Attack, number: number): Promise<readonly Verdict[]> {
  const end = performance.now() + QUIET_MS;
  for (;;) {
    const verdicts = await attack(server, what, number, 'long');
    if (performance.now() >= end || verdicts.some(({ holds }) => !holds)) return verdicts;
    await sleep(100);
  }
}

async function alone(server: SoakedServer, what: Attack, number: number): Promise<readonly Verdict[]> {
  const quiet = await openQuietRoom(server.origin);
  try {
    await sleep(SETTLE_MS);
    const before = await quietFor(quiet, QUIET_MS);
    const verdicts = await yielding(() => goOnWith(server, what, number));
    return [...verdicts, ...stayedQuiet(before, await quiet.figures())];
  } finally {
    quiet.dispose();
  }
}

/** Attacks a server that is in service: what its first visitors cost anyway is already in use before the strangers come. */
async function together(server: SoakedServer): Promise<readonly Verdict[]> {
  const cold = server.held().memoryMiB;
  const quiet = await openQuietRoom(server.origin);
  try {
    await ordinaryRooms(server, IN_SERVICE_MS);
    await sleep(SETTLE_MS);
    await quietFor(quiet, QUIET_MS);
    const held = server.held();
    const end = performance.now() + durationMs;
    await Promise.all(
      ATTACKS.map(async (what, number) => {
        while (performance.now() < end && server.lives()) {
          await attack(server, what, number, 'short');
          await sleep(1000);
        }
      }),
    );
    const during = await quiet.figures();
    await sleep(REST_MS);
    return [wentOn(during), ...gaveBack(held, server.held(), cold), await newRoomOpens(server)];
  } finally {
    quiet.dispose();
  }
}

for (const [number, what] of ATTACKS.entries()) await withServer(what.name, (server) => alone(server, what, number));
await withServer('together', together);
await withServer('ordinary', (server) => ordinaryRooms(server, durationMs / 2));
await withServer('full', (server) => fullRoom(server));
console.log(failed === 0 ? 'All claims hold.' : `${failed} claims FAILED.`);
process.exit(failed === 0 ? 0 : 1);
