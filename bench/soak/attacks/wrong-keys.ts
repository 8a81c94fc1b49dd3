import type { Attack } from '../attack.ts';

export const wrongKeys: Attack = {
  name: 'wrong-keys',
  title: 'guesses keys',
  resisted: true,
  async run({ stranger, length }) {
    const many = length === 'short' ? 300 : 3000;
    const answers = new Map<number, number>();
    const began = performance.now();
    let next = 0;
    const guesser = async (): Promise<void> => {
      while (next < many) {
        const { status } = await stranger.ask('/api/rooms/default', { headers: { authorization: `Bearer ${String(next++).padStart(32, 'x')}` } });
        answers.set(status, (answers.get(status) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 10 }, guesser));
    const seconds = (performance.now() - began) / 1000;
    const shown = [...answers].map(([status, count]) => `${status}: ${count}`).join(', ');
    return [
      {
        claim: 'most guesses are not looked at (429)',
        holds: (answers.get(429) ?? 0) > many / 2,
        figures: `${(many / seconds).toFixed(0)} a second, ${shown}`,
      },
    ];
  },
};
