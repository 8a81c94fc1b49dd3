import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MigrationReport } from '../migration/report.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import type { DepartureOrder } from './departure.ts';
import type { HostLinks } from './host-links.ts';
import type { HostMessage, HostMessageOf } from './host-messages.ts';
import type { LocalVm } from './local-vm.ts';
import { Migrations } from './migrations.ts';
import type { EndedMigration } from './scripting-interface.ts';
import { vmOwner } from './vm-owner.ts';
import { systemClock } from '../shared/system-clock.ts';

const VM = 'vm-1' as VmId;
const [A, B, C] = ['a', 'b', 'c'] as [HostId, HostId, HostId];

interface TabModel {
  readonly migrations: Migrations;
  owner: HostId | null;
  here: boolean;
  arrival: Promise<void> | null;
  movedTo: HostId | null;
  /** The tab is cut off from the relay: everything it sends and everything sent to it is lost. */
  cutOff: boolean;
  /** Whether the other hosts are there; pending while they may still come back. */
  present: Promise<boolean>;
  onSend: ((message: HostMessage) => void) | null;
  /** What the tab was told as news, and what as the past. */
  readonly news: EndedMigration[];
  readonly recalled: EndedMigration[];
}

/** Three tabs; a migration that a tab begins completes at once. Messages are delivered as soon as they are sent. */
function threeTabs() {
  const tabs = new Map<HostId, TabModel>();
  let moves = 0;
  const deliver = (from: HostId, to: HostId, message: HostMessage): void =>
    queueMicrotask(() => {
      const [sender, receiver] = [tabs.get(from), tabs.get(to)];
      if (sender === undefined || receiver === undefined || sender.cutOff || receiver.cutOff) return;
      if (
        message.type === 'migrate' ||
        message.type === 'migrated' ||
        message.type === 'past-reports' ||
        message.type === 'report' ||
        message.type === 'cancel' ||
        message.type === 'cancelled'
      )
        receiver.migrations.receive(from, message);
    });
  for (const self of [A, B, C]) {
    const vm = {
      vmId: VM,
      state: { kind: 'running' },
      departure: null,
      depart: ({ id, to }: DepartureOrder) => {
        moves++;
        const report: MigrationReport = {
          id,
          vmId: VM,
          from: self,
          to,
          outcome: 'completed',
          rounds: [],
          pauseMs: 1,
          downtime: null,
          totalMs: 1,
          bytesOnWire: 1,
          memoryBytes: 1,
          link: 'webrtc',
          verified: null,
        };
        const done = new Promise((resolve) =>
          setTimeout(() => {
            tab.migrations.finished(report);
            resolve(report);
          }, 0),
        );
        return { done };
      },
    } as unknown as LocalVm;
    const tab: TabModel = {
      owner: A,
      here: false,
      arrival: null,
      movedTo: null,
      cutOff: false,
      present: Promise.resolve(true),
      onSend: null,
      news: [],
      recalled: [],
      migrations: new Migrations({
        wallMs: () => Date.now(),
        clock: systemClock,
        self,
        links: { open: () => Promise.resolve('webrtc') } as unknown as HostLinks,
        send: (to, message) => {
          tab.onSend?.(message);
          deliver(self, to, message);
        },
        sendToRoom: (message) => [...tabs.keys()].filter((to) => to !== self).forEach((to) => deliver(self, to, message)),
        ownerOf: () => tab.owner,
        ownerNow: () => vmOwner({ self, listed: tab.owner, here: tab.here ? 'settled' : tab.arrival === null ? null : 'arriving', movedTo: tab.movedTo }),
        memoryBytesOf: () => 0,
        vmNameOf: () => 'pc-1',
        hostNameOf: (hostId) => `tab ${hostId}`,
        isExpected: () => true,
        whenPresent: () => tab.present,
        localVm: () => (tab.here ? vm : null),
        arrival: () => tab.arrival,
        started: () => undefined,
        ended: (migration) => tab.news.push(migration),
        recalled: (migrations) => tab.recalled.push(...migrations),
        changed: () => undefined,
        onProgress: () => undefined,
      }),
    };
    tabs.set(self, tab);
  }
  const tab = (id: HostId): TabModel => tabs.get(id) as TabModel;
  tab(A).here = true;
  return { a: tab(A), b: tab(B), c: tab(C), moves: () => moves };
}

describe('Migrations', () => {
  it('asks the tab that runs the VM', async () => {
    const { c, moves } = threeTabs();
    expect(await c.migrations.migrate(VM, B, {})).toMatchObject({ outcome: 'completed', from: A, to: B });
    expect(moves()).toBe(1);
  });

  it('waits for a VM that is about to run here, and then moves it on', async () => {
    const { a, b } = threeTabs();
    Object.assign(a, { here: false, movedTo: B });
    b.owner = B;
    let arrive: () => void = () => undefined;
    b.arrival = new Promise((resolve) => (arrive = resolve));
    const back = b.migrations.migrate(VM, A, {});
    b.here = true;
    b.arrival = null;
    arrive();
    expect(await back).toMatchObject({ outcome: 'completed', from: B, to: A });
  });

  it('knows where a VM of its own went before the relay has told, and passes on what others ask', async () => {
    const { a, b, c } = threeTabs();
    Object.assign(a, { here: false, movedTo: B });
    b.here = true;
    expect(await a.migrations.migrate(VM, A, {})).toMatchObject({ outcome: 'completed', from: B, to: A });
    expect(await c.migrations.migrate(VM, C, {})).toMatchObject({ outcome: 'completed', from: B, to: C });
  });

  it('names a VM that nobody has', async () => {
    const { a, c } = threeTabs();
    a.here = false;
    a.owner = null;
    c.owner = null;
    expect(await c.migrations.migrate(VM, B, {})).toMatchObject({
      outcome: 'failed',
      cause: 'unknown-vm',
      link: null,
      reason: 'No host of this room runs that VM. Choose one from the list of VMs.',
    });
  });

  it('settles what waits for another tab when the server refuses this one for good, and what is asked after that', async () => {
    const { c, moves } = threeTabs();
    const sentence = 'The key of this room was changed.';
    c.cutOff = true;
    const move = c.migrations.migrate(VM, B, {});
    await new Promise((resolve) => setTimeout(resolve, 0));
    const cancel = c.migrations.cancel(VM).catch((error: unknown) => (error as Error).message);
    c.migrations.refused(sentence);
    expect(await move).toMatchObject({ outcome: 'failed', cause: 'unknown-host', reason: sentence });
    expect(await cancel).toBe(sentence);
    expect(await c.migrations.migrate(VM, B, {})).toMatchObject({ outcome: 'failed', reason: sentence });
    expect(moves()).toBe(0);
  });

  it('waits for the tab that runs the VM while the hosts find each other again', async () => {
    const { c, moves } = threeTabs();
    let back: (present: boolean) => void = () => undefined;
    c.present = new Promise((resolve) => (back = resolve));
    const report = c.migrations.migrate(VM, B, {});
    await Promise.resolve();
    expect(moves()).toBe(0);
    back(true);
    expect(await report).toMatchObject({ outcome: 'completed', from: A, to: B });
    c.present = Promise.resolve(false);
    expect(await c.migrations.migrate(VM, B, {})).toMatchObject({ cause: 'unknown-host', reason: expect.stringContaining('is away') as string });
    // If this tab itself is cut off, it knows nothing about the other one.
    c.migrations.cutOff();
    expect(await c.migrations.migrate(VM, B, {})).toMatchObject({
      cause: 'unknown-host',
      reason: expect.stringContaining('or this tab, has lost the connection') as string,
    });
  });

  it('tells a tab that joins later of past migrations, which are no news there', async () => {
    const { a, b, c } = threeTabs();
    b.cutOff = c.cutOff = true;
    const moved = await a.migrations.migrate(VM, B, {});
    const refused = await a.migrations.migrate(VM, A, {});
    expect(a.news.map(({ report }) => report)).toEqual([moved, refused]);

    b.cutOff = c.cutOff = false;
    b.migrations.askPast([A, B]);
    a.migrations.tellPast(B);
    await Promise.resolve();
    expect(b.recalled).toMatchObject([{ known: 'past', vmName: 'pc-1', toName: 'tab b', report: moved }]);
    expect(b.migrations.reports()).toEqual(b.recalled);
    expect(b.news).toEqual([]);

    // B did not run the migration, but remembers it when A is gone.
    c.migrations.askPast([B, C]);
    b.migrations.tellPast(C);
    await Promise.resolve();
    expect(c.recalled.map(({ report }) => report)).toEqual([moved]);
  });

  it('lets no tale of the past end a migration that is under way', () => {
    const { c } = threeTabs();
    const id = 'under-way' as MigrationId;
    const progress = {
      id,
      vmId: VM,
      from: A,
      to: B,
      phase: 'rounds',
      round: 1,
      pagesLeft: 1,
      pagesSent: 1,
      bytesSent: 1,
      bytesPerSecond: 1,
      expectedPauseMs: 1,
    } as const;
    const report = {
      id,
      vmId: VM,
      from: A,
      to: B,
      outcome: 'completed' as const,
      rounds: [],
      pauseMs: 1,
      downtime: null,
      totalMs: 1,
      bytesOnWire: 1,
      memoryBytes: 1,
      link: 'webrtc' as const,
      verified: null,
    };
    const past: HostMessage = { type: 'past-reports', reports: [{ agoMs: 1, vmName: 'pc-1', toName: 'tab b', report }] };
    c.migrations.askPast([A, B]);
    c.migrations.receive(A, { type: 'progress', progress });
    c.migrations.receive(B, past);
    expect(c.migrations.underWay()).toEqual([progress]);
    c.migrations.receive(A, { type: 'progress', progress: { ...progress, round: 2 } });
    expect(c.migrations.underWay()).toMatchObject([{ round: 2 }]);
    c.migrations.receive(A, { type: 'report', report });
    expect(c.migrations.underWay()).toEqual([]);
    expect(c.news).toMatchObject([{ report }]);
    expect(c.migrations.reports()).toEqual(c.news);
  });

  it('ends a migration that this tab took for under way when the host that ran it tells of its end, late', () => {
    const { c } = threeTabs();
    const id = 'missed' as MigrationId;
    const report = {
      id,
      vmId: VM,
      from: A,
      to: B,
      outcome: 'failed' as const,
      rounds: [],
      pauseMs: 0,
      downtime: null,
      totalMs: 1,
      bytesOnWire: 1,
      memoryBytes: 1,
      link: 'webrtc' as const,
      verified: null,
    };
    c.migrations.receive(A, {
      type: 'progress',
      progress: { id, vmId: VM, from: A, to: B, phase: 'rounds', round: 1, pagesLeft: 1, pagesSent: 1, bytesSent: 1, bytesPerSecond: 1, expectedPauseMs: 1 },
    });
    c.migrations.askPast([A, B]);
    const past: HostMessage = { type: 'past-reports', reports: [{ agoMs: 1, vmName: 'pc-1', toName: 'tab b', report }] };
    c.migrations.receive(B, past);
    expect(c.migrations.underWay()).toHaveLength(1);
    c.migrations.receive(A, past);
    expect(c.migrations.underWay()).toEqual([]);
  });

  it('says at once that the tab that runs the VM cannot be reached', async () => {
    const { c } = threeTabs();
    const sent: HostMessageOf<'migrate' | 'cancel'>[] = [];
    c.onSend = (message) => {
      if (message.type === 'migrate' || message.type === 'cancel') sent.push(message);
    };
    c.cutOff = true;
    const report = c.migrations.migrate(VM, B, {});
    while (sent.length === 0) await Promise.resolve();
    const cancelled = c.migrations.cancel(VM);
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    expect(sent.map(({ type }) => type)).toEqual(['migrate', 'cancel']);
    for (const message of sent) c.migrations.undeliverable(A, message);
    expect(await report).toMatchObject({ outcome: 'failed', cause: 'unknown-host', reason: expect.stringContaining('cannot be reached') as string });
    await expect(cancelled).rejects.toThrow('cannot be reached');
  });
});

describe('a tab that is cut off while a migration runs', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it.each(['asked for it', 'runs it'] as const)('hears, or tells, how it ended once it returns, if it %s', async (which) => {
    const { a, b, c, moves } = threeTabs();
    const away = which === 'runs it' ? a : c;
    let report: MigrationReport | null = null;
    void c.migrations.migrate(VM, B, {}).then((came) => (report = came));
    for (let step = 0; step < 20 && moves() === 0; step++) await Promise.resolve();
    expect(moves()).toBe(1);
    away.cutOff = true;
    away.migrations.cutOff();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(report).toBeNull();
    away.cutOff = false;
    away.migrations.returned();
    away.migrations.returned();
    await vi.advanceTimersByTimeAsync(5000);
    expect(report).toMatchObject({ outcome: 'completed', from: A, to: B });
    expect(moves()).toBe(1);
    // Only once, however often it was told. The tab that was away heard it from the tabs that were not.
    for (const tab of which === 'runs it' ? [a, b, c] : [a, b]) expect(tab.news.map(({ report: news }) => news)).toEqual([report]);
  });
});

describe('a wish to cancel', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('holds for a request to move that is still on its way', async () => {
    const { c, moves } = threeTabs();
    c.cutOff = true;
    const report = c.migrations.migrate(VM, B, {});
    await vi.advanceTimersByTimeAsync(100);
    c.cutOff = false;
    await c.migrations.cancel(VM);
    await vi.advanceTimersByTimeAsync(5000);
    expect(await report).toMatchObject({ outcome: 'cancelled', cause: 'cancelled', link: null });
    expect(moves()).toBe(0);
  });

  it('holds for all that this tab has asked for: who presses twice means both', async () => {
    const { c, moves } = threeTabs();
    c.cutOff = true;
    const reports = [c.migrations.migrate(VM, B, {}), c.migrations.migrate(VM, B, {})];
    await vi.advanceTimersByTimeAsync(100);
    c.cutOff = false;
    await c.migrations.cancel(VM);
    await vi.advanceTimersByTimeAsync(5000);
    expect((await Promise.all(reports)).map(({ outcome }) => outcome)).toEqual(['cancelled', 'cancelled']);
    expect(moves()).toBe(0);
  });

  it('holds for a move that waits for hosts to find each other again', async () => {
    const { c, moves } = threeTabs();
    c.present = new Promise(() => undefined);
    const report = c.migrations.migrate(VM, B, {});
    await c.migrations.cancel(VM);
    expect(await report).toMatchObject({ outcome: 'cancelled', cause: 'cancelled' });
    expect(moves()).toBe(0);
  });

  it('holds for a move that waits for its VM to arrive', async () => {
    const { b, moves } = threeTabs();
    b.owner = B;
    b.arrival = new Promise(() => undefined);
    const report = b.migrations.migrate(VM, C, {});
    await b.migrations.cancel(VM);
    expect(await report).toMatchObject({ outcome: 'cancelled', cause: 'cancelled' });
    expect(moves()).toBe(0);
  });

  it('is told at once that the tab which runs the VM has gone, also while the server is away', async () => {
    const { c } = threeTabs();
    c.cutOff = true;
    c.present = Promise.resolve(false);
    await expect(c.migrations.cancel(VM)).rejects.toThrow('is away');
  });

  it('is told that the move has ended, for a while, and then that there is none', async () => {
    const { a } = threeTabs();
    const report = a.migrations.migrate(VM, B, {});
    await vi.advanceTimersByTimeAsync(10);
    await report;
    await expect(a.migrations.cancel(VM)).rejects.toThrow('It was too late to cancel: pc-1 has moved to tab b.');
    await vi.advanceTimersByTimeAsync(10_000);
    await expect(a.migrations.cancel(VM)).rejects.toThrow('pc-1 is not being moved.');
  });
});
