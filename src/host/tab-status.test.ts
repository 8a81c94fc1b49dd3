import { beforeEach, expect, it } from 'vitest';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import { TabStatus } from './tab-status.ts';

let clock: VirtualClock;
let status: TabStatus;
let toldAt: number[];
beforeEach(() => {
  clock = new VirtualClock();
  status = new TabStatus(clock);
  toldAt = [];
  status.viewChanged.on(() => void toldAt.push(clock.now()));
});

/** Lets time pass and runs everything that is due in it. */
function pass(ms: number): void {
  const end = clock.now() + ms;
  while ((clock.nextAt ?? Number.POSITIVE_INFINITY) <= end) clock.fireNext();
  clock.pass(end - clock.now());
}

it('tells a change of the view soon, what changes together once, and no more than ten times a second', () => {
  const from = clock.now();
  status.changed();
  status.changed();
  expect(toldAt).toEqual([]);
  pass(50);
  expect(toldAt).toEqual([from + 16]);
  for (let change = 0; change < 100; change++) {
    status.changed();
    pass(10);
  }
  expect(toldAt.length).toBeLessThanOrEqual(11);
  for (const [index, at] of toldAt.slice(1).entries()) expect(at - toldAt[index]!).toBeGreaterThanOrEqual(100);
  pass(1000);
  const told = toldAt.length;
  status.changed();
  pass(16);
  expect(toldAt).toHaveLength(told + 1);
});

it('tells nothing while a move that has begun may be a quick one, and then what came of it', () => {
  const from = clock.now();
  status.changed();
  status.moveBegins();
  pass(100);
  status.changed();
  pass(149);
  expect(toldAt).toEqual([]);
  pass(1);
  expect(toldAt).toEqual([from + 250]);
  status.moveBegins();
  pass(1000);
  expect(toldAt).toEqual([from + 250]);
});

it('says once whether the tab has joined, and then what it does and what stops it', async () => {
  status.joined();
  await expect(status.ready).resolves.toBeUndefined();
  status.isStarting('Loading the PC', 0.5);
  expect(status.starting).toEqual({ text: 'Loading the PC', fraction: 0.5 });
  status.hasStarted('It could not be loaded.');
  expect([status.starting, status.trouble]).toEqual([null, 'It could not be loaded.']);
  status.refused('The key was changed.');
  await expect(status.ready).resolves.toBeUndefined();
  expect(status.trouble).toBe('The key was changed.');
});

it('says why a tab cannot join, and tells nothing once it is disposed', async () => {
  status.refused("This key is not the room's.");
  await expect(status.ready).rejects.toThrow('This key is not');
  status.dispose();
  pass(1000);
  expect([toldAt, clock.pending]).toEqual([[], 0]);
});
