/** Attacks on one server: one after another, with a quiet room beside them, and what they leave behind. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DisposableBag } from '../../src/shared/disposable.ts';
import type { Attack, Length, Verdict } from './attack.ts';
import { handOver } from './handover.ts';
import type { QuietFigures, QuietRoom } from './quiet-room.ts';
import type { Held, SoakedServer } from './soaked-server.ts';
import { Stranger } from './stranger.ts';

/** The quiet room may take this many times as long as before. */
const SLOWER = 3;
/** Times below this, in milliseconds, are only the machine's own jitter. */
const FLOOR_MS = 5;
const MEMORY_FACTOR = 1.3;
/** Descriptors that come and go by themselves: connections that are kept alive, files being read. */
const DESCRIPTORS_OF_ITS_OWN = 10;

/** Runs one attack; an error that it throws becomes a verdict, too. Each attacker has its own address. */
export async function attack(server: SoakedServer, what: Attack, number: number, length: Length): Promise<readonly Verdict[]> {
  const open = new DisposableBag();
  try {
    return await what.run({ server, stranger: new Stranger(server.origin, `127.0.1.${number + 1}`), length, open });
  } catch (error) {
    return [{ claim: 'the attack can be made', holds: false, figures: error instanceof Error ? error.message : String(error) }];
  } finally {
    open.dispose();
  }
}

export async function quietFor(room: QuietRoom, ms: number): Promise<QuietFigures> {
  await room.figures();
  await sleep(ms);
  return room.figures();
}

export function stayedQuiet(before: QuietFigures, during: QuietFigures): readonly Verdict[] {
  const one = (what: string, was: number | null, is: number | null): Verdict => ({
    claim: `p99 of a quiet room's ${what} within ${SLOWER} times`,
    holds: was !== null && is !== null && is <= SLOWER * Math.max(FLOOR_MS, was),
    figures: `${was?.toFixed(1) ?? 'none'} to ${is?.toFixed(1) ?? 'none'} ms`,
  });
  return [one('pings', before.pingP99, during.pingP99), one('messages', before.messageP99, during.messageP99)];
}

/** While all attacks run at once, the machine itself is overloaded. Even then a room that is not the attackers' may lose nothing. */
export function wentOn(during: QuietFigures): Verdict {
  return {
    claim: 'a quiet room loses no ping',
    holds: during.pings > 0 && during.messages > 0 && during.lostPings === 0,
    figures: `${during.lostPings} of ${during.pings + during.lostPings} lost, p99 ${during.pingP99?.toFixed(1) ?? 'none'} ms; messages ${during.messageP99?.toFixed(1) ?? 'none'} ms`,
  };
}

/** What the server holds once the attackers have gone. `coldMiB`: its memory before anybody came, for the figures. */
export function gaveBack(before: Held, after: Held, coldMiB: number | null = null): readonly Verdict[] {
  return [
    {
      claim: `memory within ${MEMORY_FACTOR} times`,
      holds: after.memoryMiB <= MEMORY_FACTOR * before.memoryMiB,
      figures: `${before.memoryMiB.toFixed(0)} to ${after.memoryMiB.toFixed(0)} MiB${coldMiB === null ? '' : `; ${coldMiB.toFixed(0)} as it started`}`,
    },
    {
      claim: 'descriptors as before',
      holds: after.descriptors <= before.descriptors + DESCRIPTORS_OF_ITS_OWN,
      figures: `${before.descriptors} to ${after.descriptors}`,
    },
    { claim: 'listeners as before', holds: after.listeners <= before.listeners, figures: `${before.listeners} to ${after.listeners}` },
  ];
}

/** A room nobody has opened yet, with a VM that goes from one host to another. */
export async function newRoomOpens(server: SoakedServer): Promise<Verdict> {
  const open = new DisposableBag();
  try {
    const visitor = new Stranger(server.origin, '127.0.0.3');
    const [here, there] = [await visitor.host('room-of-a-visitor', 'visitor', open), await visitor.host('room-of-a-visitor', 'friend', open)];
    await handOver(visitor, await visitor.vm(here, open), here, there, 'migration-of-a-visitor', open);
    return { claim: 'a new room opens, and its VM moves', holds: true, figures: '' };
  } catch (error) {
    return { claim: 'a new room opens, and its VM moves', holds: false, figures: String(error) };
  } finally {
    open.dispose();
  }
}
