import { expect, it } from 'vitest';
import { sortPings } from './guest-in-browser.ts';

it('counts a ping to a migration if it was under way at any time of it', () => {
  const samples = [
    { at: 90, rttMs: 5 },
    { at: 102, rttMs: 5 },
    { at: 150, rttMs: 40 },
    { at: 230, rttMs: 60 },
    { at: 300, rttMs: 5 },
  ];
  const { migrating, resting, slowestMs } = sortPings(samples, [{ begin: 100, end: 200 }]);
  expect(migrating).toEqual({ pings: 3, lost: 0, p50Ms: 40, p99Ms: 60, maxMs: 60 });
  expect(resting).toMatchObject({ pings: 2, maxMs: 5 });
  expect(slowestMs).toEqual([60]);
});

it('counts a lost ping as lost, and never as a time', () => {
  const { migrating, slowestMs } = sortPings(
    [
      { at: 5000, rttMs: null },
      { at: 150, rttMs: 7 },
    ],
    [{ begin: 100, end: 200 }],
  );
  expect(migrating).toMatchObject({ pings: 2, lost: 1, maxMs: 7 });
  expect(slowestMs).toEqual([7]);
});
