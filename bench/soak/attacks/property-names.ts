import type { Attack } from '../attack.ts';

export const propertyNames: Attack = {
  name: 'property-names',
  title: 'calls itself what every object has as a property',
  resisted: true,
  async run({ stranger, open }) {
    const answers = [];
    for (const id of ['__proto__', 'constructor']) {
      const host = await stranger.rawHost('property-names', id, open);
      answers.push(typeof host === 'string' ? host : 'welcome');
    }
    return [{ claim: 'refused as malformed', holds: answers.every((answer) => answer === 'malformed'), figures: answers.join(', ') }];
  },
};
