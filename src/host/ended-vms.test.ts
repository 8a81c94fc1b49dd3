import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { EndedVm } from '../net-relay/protocol/relay-protocol.ts';
import type { HostId, VmId } from '../shared/ids.ts';
import { EndedVms, endedText } from './ended-vms.ts';
import { RoomLog } from './room-log.ts';

const SELF = 'self' as HostId;
const FORMER = 'former' as HostId;
const NOW = 1_000_000;

const vm = (change: Partial<EndedVm> = {}): EndedVm => ({
  id: 'vm-1',
  name: 'pc1',
  hostId: 'ada',
  hostName: 'amber-fox',
  how: 'tab-closed',
  why: null,
  agoMs: 4000,
  ...change,
});

let log: RoomLog;
let shownHere: Set<VmId>;
const made = (formerSelf: HostId | null = null): EndedVms =>
  new EndedVms({ self: SELF, formerSelf, log, isShownHere: (id) => shownHere.has(id), now: () => NOW });
const lines = (): string[] => log.view().map(({ level, text }) => `${level}: ${text}`);

beforeEach(() => {
  log = new RoomLog(
    () => undefined,
    () => Date.now(),
  );
  shownHere = new Set();
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
});

describe('the sentence about a VM that ended', () => {
  it.each<[Partial<EndedVm>, string, string]>([
    [{ how: 'tab-closed' }, 'pc1 ended when its tab, amber-fox, was closed or reloaded.', 'pc1 ended when this tab was reloaded or left.'],
    [{ how: 'powered-off' }, 'pc1 was powered off in amber-fox.', 'pc1 was powered off in this tab.'],
    [{ how: 'failed', why: 'The emulator stopped.' }, 'pc1 ended in amber-fox: The emulator stopped.', 'pc1 ended in this tab: The emulator stopped.'],
    [{ how: 'failed' }, 'pc1 broke down in amber-fox.', 'pc1 broke down in this tab.'],
    [{ how: 'forgotten' }, 'pc1 was forgotten: its tab, amber-fox, was away.', 'pc1 was forgotten by the room while this tab was away.'],
    [{ how: 'expired' }, 'pc1 was given up: its tab, amber-fox, did not come back.', 'pc1 was given up while this tab was away.'],
    [{ how: 'tab-closed', hostName: null }, 'pc1 ended when its tab was closed or reloaded.', 'pc1 ended when this tab was reloaded or left.'],
    [{ how: 'powered-off', hostName: null }, 'pc1 was powered off.', 'pc1 was powered off in this tab.'],
  ])('%j', (change, elsewhere, here) => {
    expect(endedText(vm(change), false)).toBe(elsewhere);
    expect(endedText(vm(change), true)).toBe(here);
  });
});

describe('the ended VMs of a room', () => {
  it('take their place in the log by the time of their end, and are news only when they end later', () => {
    const ended = made();
    ended.take([vm()], [SELF]);
    expect(log.view()).toMatchObject([{ at: NOW - 4000, level: 'info', vmId: 'vm-1' }]);
    expect(console.warn).not.toHaveBeenCalled();
    ended.take([vm({ agoMs: 9000 }), vm({ id: 'vm-2', name: 'pc2', how: 'failed', why: 'It broke.', agoMs: 3 })], [SELF]);
    expect(lines()).toEqual(['info: pc1 ended when its tab, amber-fox, was closed or reloaded.', 'bad: pc2 ended in amber-fox: It broke.']);
    expect(ended.views().map(({ id, at, wasHere }) => ({ id, at, wasHere }))).toEqual([
      { id: 'vm-1', at: NOW - 4000, wasHere: false },
      { id: 'vm-2', at: NOW - 3, wasHere: false },
    ]);
  });

  it('are gone from the view once the room forgets them, or at once where they were dismissed; the log keeps them', () => {
    const ended = made();
    ended.take([vm(), vm({ id: 'vm-2' })], [SELF]);
    ended.hide(['vm-1']);
    expect(ended.views().map(({ id }) => id)).toEqual(['vm-2']);
    ended.take([], [SELF]);
    expect(ended.views()).toEqual([]);
    expect(lines()).toHaveLength(2);
  });

  it("know a tab's own of before its reload", () => {
    const ended = made(FORMER);
    ended.take([vm({ hostId: FORMER }), vm({ id: 'vm-2' })], [SELF, 'ada' as HostId]);
    expect(ended.ownIds()).toEqual(['vm-1']);
    expect(ended.views()[0]).toMatchObject({ wasHere: true, text: 'pc1 ended when this tab was reloaded or left.' });
  });

  it("are not a tab's own if it is only the copy of one that is still there", () => {
    const ended = made(FORMER);
    ended.take([], [SELF, FORMER]);
    ended.take([vm({ hostId: FORMER })], [SELF]);
    expect(ended.ownIds()).toEqual([]);
  });

  it('are not told twice where the page shows them as off', () => {
    const ended = made();
    ended.take([], [SELF]);
    shownHere.add('vm-1' as VmId);
    ended.take([vm({ hostId: SELF, how: 'powered-off' })], [SELF]);
    expect(ended.views()).toEqual([]);
    expect(lines()).toEqual([]);
  });
});
