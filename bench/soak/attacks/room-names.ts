import { DEFAULT_LIMITS } from '../../../src/net-relay/limits/server-limits.ts';
import type { Attack } from '../attack.ts';
import { Stranger } from '../stranger.ts';

export const roomNames: Attack = {
  name: 'room-names',
  title: 'opens rooms under one name after another and leaves them unused',
  resisted: true,
  async run({ server, stranger, length, open }) {
    const before = await server.figures();
    const many = length === 'short' ? 600 : 20_300;
    const answers = new Map<string, number>();
    let next = 0;
    const opener = async (): Promise<void> => {
      while (next < many) {
        const number = next++;
        const host = await stranger.rawHost(`name${number}`, 'a', open);
        const answer = typeof host === 'string' ? host : 'welcome';
        answers.set(answer, (answers.get(answer) ?? 0) + 1);
        if (typeof host !== 'string') host.terminate();
      }
    };
    await Promise.all(Array.from({ length: 12 }, opener));
    const shown = [...answers].map(([answer, count]) => `${answer} ${count}`).join(', ');
    const newRoom = await new Stranger(server.origin, '127.0.0.4').rawHost('room-of-somebody', 'a', open);
    const after = await server.figures();
    const kept = after.counted('rooms') - before.counted('rooms');
    return [
      { claim: 'unused rooms are not kept', holds: kept <= DEFAULT_LIMITS.roomsPerAddress + 1, figures: `${many} asked for (${shown}), ${kept} more open` },
      { claim: 'a new room opens to somebody else', holds: typeof newRoom !== 'string', figures: typeof newRoom === 'string' ? newRoom : 'welcome' },
    ];
  },
};
