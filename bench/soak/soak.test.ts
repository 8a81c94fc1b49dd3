/** The short form of `npm run soak:server`: no claim about time, which belongs to the long one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pollFor } from '../../e2e/harness/poll-for.ts';
import { ATTACKS } from './attacks/all.ts';
import { FORWARDED_PORT } from './attacks/stolen-forward.ts';
import { attack, gaveBack, newRoomOpens } from './soak.ts';
import { startSoakedServer, type Held, type SoakedServer } from './soaked-server.ts';

describe('a server that strangers attack', () => {
  let server: SoakedServer;
  let before: Held;

  beforeAll(async () => {
    server = await startSoakedServer(['--forward', `${FORWARDED_PORT}:web:80`]);
    await newRoomOpens(server);
    before = server.held();
  }, 90_000);

  afterAll(() => server.stop());

  for (const [number, what] of ATTACKS.entries()) {
    if (!what.resisted) continue;
    it(`resists one who ${what.title}`, async () => {
      const verdicts = await attack(server, what, number, 'short');
      expect(verdicts.filter(({ holds }) => !holds)).toEqual([]);
      expect(server.lives()).toBe(true);
    });
  }

  it('gives back what it held, and opens new rooms', async () => {
    // Ports of a VM stay open for a day after its host is gone: only the long form checks the listeners.
    const holds = (): boolean => gaveBack(before, server.held()).find(({ claim }) => claim.startsWith('descriptors'))?.holds ?? false;
    await pollFor('descriptors to be given back', holds);
    expect(await newRoomOpens(server)).toMatchObject({ holds: true });
  });
});
