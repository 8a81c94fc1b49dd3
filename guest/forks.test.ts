/** PCs that begin as copies of one snapshot: as soon as a PC has its identity, its random values are its own. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GUEST_LIMIT_MS, restoredGuest, type RestoredGuest } from './testing/restored-guest.ts';

const COUNT = 5;
/** The auxiliary vector's entry that says where the process' 16 random bytes are (AT_RANDOM). */
const AT_RANDOM = 25;

interface Secrets {
  /** Where on its stack the kernel put them: the layout. */
  readonly address: number;
  /** The bytes; the first are the stack's canary. */
  readonly bytes: string;
}

/** The secrets of the process with this id; `pid` may be a shell expression. */
async function secretsOf(guest: RestoredGuest, pid: string): Promise<Secrets> {
  const words = (await guest.shell(`pid=${pid}; od -An -v -tu4 -w8 /proc/$pid/auxv`))
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const address = words.find(([type]) => type === AT_RANDOM)?.[1];
  if (address === undefined) throw new Error(`No AT_RANDOM in ${JSON.stringify(words)}`);
  const bytes = await guest.shell(`dd if=/proc/$pid/mem bs=1 skip=${address} count=16 2>/dev/null | od -An -tx1`);
  return { address, bytes: bytes.trim() };
}

describe(`${COUNT} PCs of one snapshot`, () => {
  const guests: RestoredGuest[] = [];

  beforeAll(async () => {
    for (let index = 0; index < COUNT; index++) {
      const guest = await restoredGuest();
      guests.push(guest);
      await guest.machine.run(0);
      await guest.widen();
      expect(guest.console.position, 'what was printed before the seed').toBe(0);
      const seed = String(index).repeat(2).repeat(64);
      // No answer of the agent is lost while it renews itself: the next line is on its way already.
      const size = guest.agent.printed('ok size', GUEST_LIMIT_MS, guest.agent.position);
      await guest.agent.ask(
        `identity mac=02:5a:00:00:00:0${index} hostname=pc${index} ip=10.77.0.${index + 2}/24 time=1763840000000 seed=${seed} password=x\nsize cols=900 rows=30`,
        'ok identity',
        GUEST_LIMIT_MS,
      );
      await size;
      await guest.console.printed('guest# ', GUEST_LIMIT_MS);
    }
  }, GUEST_LIMIT_MS);

  afterAll(() => {
    for (const guest of guests) guest.dispose();
  });

  const allOf = async (pid: string): Promise<Secrets[]> => {
    const all: Secrets[] = [];
    for (const guest of guests) all.push(await secretsOf(guest, pid));
    return all;
  };

  it.each([
    ['the agent', '$(pidof tabmotion-agent)'],
    ['the shell on the serial console', '$$'],
    ['the shell on the screen', '$(for p in $(pidof sh); do [ "$(readlink /proc/$p/fd/0)" = /dev/tty1 ] && echo $p; done)'],
    ['a program started at the prompt', '$(ticker 100000 >/dev/null & while ! grep -q ticker /proc/$!/comm; do :; done; echo $!)'],
  ])(
    'differ in address layout and randomness of all that was started since: %s',
    async (_, pid) => {
      const secrets = await allOf(pid);
      expect(new Set(secrets.map(({ bytes }) => bytes)).size).toBe(COUNT);
      expect(new Set(secrets.map(({ address }) => address)).size).toBe(COUNT);
      for (const { bytes } of secrets) expect(bytes).toMatch(/^([0-9a-f]{2} ){15}[0-9a-f]{2}$/);
    },
    GUEST_LIMIT_MS,
  );

  it(
    'have an agent that goes on with what was sent while it renewed itself',
    async () => {
      for (const guest of guests) {
        expect(await guest.shell('stty size')).toBe('30 900\n');
        await guest.agent.ask('hello', 'tabmotion-agent 1', GUEST_LIMIT_MS);
      }
    },
    GUEST_LIMIT_MS,
  );
});
