import { expect, it } from 'vitest';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import { collectAtRest } from './memory-rest.ts';

const MIB = 1024 * 1024;

function process() {
  const state = { inUse: 30 * MIB, live: 30 * MIB, busy: 0.01, collected: [] as number[] };
  const clock = new VirtualClock();
  const rest = collectAtRest({
    clock,
    collect() {
      state.collected.push(clock.now());
      state.inUse = state.live;
    },
    bytesInUse: () => state.inUse,
    busyShare: () => state.busy,
  });
  const pass = (ms: number): void => {
    const end = clock.now() + ms;
    while ((clock.nextAt ?? Number.POSITIVE_INFINITY) <= end) clock.fireNext();
    clock.pass(end - clock.now());
  };
  return { state, clock, rest, pass };
}

it('collects what a burst has left once the server is at rest, and not during it', () => {
  const { state, clock, pass } = process();
  Object.assign(state, { inUse: 200 * MIB, busy: 0.9 });
  pass(600_000);
  expect(state.collected).toEqual([]);
  state.busy = 0.02;
  const calm = clock.now();
  pass(60_000);
  expect(state.collected).toHaveLength(1);
  expect(state.collected[0]! - calm).toBeLessThanOrEqual(30_000);
});

it('collects once more for what is forgotten a while after the burst, and then leaves the server alone', () => {
  const { state, pass } = process();
  Object.assign(state, { inUse: 200 * MIB, live: 120 * MIB, busy: 0.9 });
  pass(60_000);
  state.busy = 0.02;
  pass(40_000);
  expect([state.collected.length, state.inUse]).toEqual([1, 120 * MIB]);
  Object.assign(state, { inUse: 140 * MIB, live: 30 * MIB });
  pass(40_000);
  expect([state.collected.length, state.inUse]).toEqual([2, 30 * MIB]);
  state.inUse = 300 * MIB;
  pass(3_600_000);
  expect(state.collected).toHaveLength(2);
});

it('does not collect where little has come', () => {
  const { state, pass } = process();
  for (let burst = 0; burst < 5; burst++) {
    Object.assign(state, { inUse: 37 * MIB, busy: 0.9 });
    pass(60_000);
    state.busy = 0.02;
    pass(600_000);
  }
  expect(state.collected).toEqual([]);
});

it('takes what V8 collected by itself for the measure, too', () => {
  const { state, pass } = process();
  // Of the start.
  Object.assign(state, { inUse: 80 * MIB, live: 20 * MIB, busy: 0.9 });
  pass(60_000);
  Object.assign(state, { inUse: 20 * MIB });
  pass(60_000);
  Object.assign(state, { inUse: 50 * MIB, busy: 0.02 });
  pass(60_000);
  expect(state.collected).toHaveLength(1);
});

it('stops with the server', () => {
  const { clock, rest } = process();
  rest.dispose();
  expect(clock.nextAt).toBeNull();
});
