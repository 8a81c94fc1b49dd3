import { expect, it } from 'vitest';
import { OPEN_CODE } from '../net-relay/protocol/relay-protocol.ts';
import { openCodeFor, publicNotice } from './public-notice.ts';

it('makes a code for a public server that was given none, the same as long as the default room keeps its key', () => {
  const code = openCodeFor({ isPublic: true, openCode: null }, 'a-default-key-0123456789');
  expect(code).toMatch(OPEN_CODE);
  expect(openCodeFor({ isPublic: true, openCode: null }, 'a-default-key-0123456789')).toBe(code);
  expect(openCodeFor({ isPublic: true, openCode: null }, 'another-key-0123456789')).not.toBe(code);
  expect(openCodeFor({ isPublic: true, openCode: 'lecture-2027' }, 'x')).toBe('lecture-2027');
  expect([openCodeFor({ isPublic: false, openCode: null }, 'x'), openCodeFor({ isPublic: false, openCode: 'lecture-2027' }, 'x')]).toEqual([
    null,
    'lecture-2027',
  ]);
});

it('tells the operator what is open, and to whom', () => {
  const closed = { openCode: 'lecture-2027', outbound: null, outboundRooms: ['default'], forwards: 0, tap: null, operatorKey: null };
  expect(publicNotice(closed).slice(2)).toEqual([
    '  with the code lecture-2027: new rooms, at an address such as /?room=NAME#open=lecture-2027',
    "  with a room's key: that room, and the ports of its PCs on this machine's loopback",
    '  to guests: nothing outside',
    '  /metrics: this machine alone',
  ]);
  const open = publicNotice({ openCode: null, outbound: ['*:443'], outboundRooms: 'all', forwards: 2, tap: 'tabmotion0', operatorKey: 'x' }).join('\n');
  for (const part of ['rooms of their own', 'guests of every room: *:443', '2 ports that --forward', 'by tabmotion0', "who has the operator's key"])
    expect(open).toContain(part);
});
