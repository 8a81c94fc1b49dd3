import { expect, it } from 'vitest';
import { AddressPaces, Pace, type PaceLimits } from './pace.ts';

const LIMITS: PaceLimits = { messagesPerSecond: 100, messageBurst: 10, bytesPerSecond: 1000, byteBurst: 500 };

it('lets a burst through, then asks for the time in which what was borrowed is earned, by messages or by bytes (NR37)', () => {
  const pace = new Pace(LIMITS, 0);
  expect(pace.charge(0, 10, 0)).toBe(0);
  expect(pace.charge(0, 1, 0)).toBe(10);
  expect(pace.charge(10, 1, 0)).toBe(10);
  expect(pace.charge(1000, 1, 1500)).toBe(1000);
  expect(pace.charge(2000, 0, 0)).toBe(0);
});

it('gives all sockets of an address one pace, for as long as there is one (NR37)', () => {
  const paces = new AddressPaces(LIMITS);
  const first = paces.enter('192.0.2.1', 0);
  expect(paces.enter('192.0.2.1', 0)).toBe(first);
  expect(paces.enter('192.0.2.2', 0)).not.toBe(first);
  paces.leave('192.0.2.1');
  expect(paces.enter('192.0.2.1', 0)).toBe(first);
  for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.3']) paces.leave(address);
  expect(paces.size).toBe(0);
});
