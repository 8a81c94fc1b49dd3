import { expect, it } from 'vitest';
import type { HostId } from '../shared/ids.ts';
import { hostMessageSchema, type HostMessage } from './host-messages.ts';
import { routeMessage, routeUndeliverable, type MessageReceivers } from './message-routing.ts';

const FROM = 'b' as HostId;
const TYPES = hostMessageSchema.options.map((option) => option.entries.type.literal);

/** Parts of a tab that note what reaches them. */
function parts(): { readonly reached: string[]; readonly receivers: MessageReceivers } {
  const reached: string[] = [];
  const note = (what: string) => (): void => void reached.push(what);
  return {
    reached,
    receivers: {
      links: { receive: note('links'), undeliverable: note('links') },
      migrations: { receive: note('migrations'), undeliverable: note('migrations'), tellPast: note('migrations tell the past') },
      consoles: { receive: note('consoles'), sizes: { tell: note('sizes tell') } },
      readiness: { heard: note('readiness'), tell: note('readiness tells') },
      localVms: { heardDetails: note('localVms'), tellDetails: note('localVms tell') },
    },
  };
}

it.each(TYPES)('%s reaches the part that it is for', (type) => {
  const { reached, receivers } = parts();
  routeMessage(FROM, { type } as HostMessage, receivers);
  const [family = ''] = type.split('-');
  const expected =
    type === 'details-wanted'
      ? ['localVms tell', 'sizes tell', 'readiness tells', 'migrations tell the past']
      : type === 'vm-details'
        ? ['localVms']
        : type === 'host-ready'
          ? ['readiness']
          : family === 'console'
            ? ['consoles']
            : ['rtc', 'open', 'link'].includes(family)
              ? ['links']
              : ['migrations'];
  expect(reached).toEqual(expected);
});

it('tells of what could not be delivered whoever would wait for an answer', () => {
  const told = TYPES.map((type) => {
    const { reached, receivers } = parts();
    routeUndeliverable(FROM, { type } as HostMessage, receivers);
    return `${type}: ${reached.join()}`;
  }).filter((line) => !line.endsWith(': '));
  expect(told.sort()).toEqual(['cancel: migrations', 'migrate: migrations', 'open-link: links']);
});
