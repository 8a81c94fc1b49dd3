import { beforeEach, expect, it } from 'vitest';
import type { HostId } from '../shared/ids.ts';
import { HostReadiness } from './host-readiness.ts';

const [SELF, OTHER] = ['self' as HostId, 'other' as HostId];
let told: string[];
let changes: number;
let readiness: HostReadiness;
beforeEach(() => {
  told = [];
  changes = 0;
  readiness = new HostReadiness({
    self: SELF,
    sendToHost: (to, { type }) => void told.push(`${type} to ${to}`),
    sendToRoom: ({ type }) => void told.push(`${type} to the room`),
    changed: () => {
      changes++;
    },
  });
});

it('tells nobody of this tab before it has loaded the guest, and everybody when it has', () => {
  readiness.tellRoom();
  readiness.tell(OTHER);
  expect([told, readiness.isReady(SELF), changes]).toEqual([[], false, 0]);
  readiness.loaded();
  readiness.tell(OTHER);
  readiness.tellRoom();
  expect(told).toEqual(['host-ready to the room', 'host-ready to other', 'host-ready to the room']);
  expect([readiness.isReady(SELF), changes]).toEqual([true, 1]);
});

it('knows of another host what it said, until it is gone: a tab that comes anew has loaded nothing', () => {
  expect(readiness.isReady(OTHER)).toBe(false);
  readiness.heard(OTHER);
  expect([readiness.isReady(OTHER), changes]).toEqual([true, 1]);
  readiness.forgetHost(OTHER);
  expect(readiness.isReady(OTHER)).toBe(false);
});
