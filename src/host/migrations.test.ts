import { describe, expect, it } from 'vitest';
import type { MigrationReport } from '../migration/report.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import type { HostLinks } from './host-links.ts';
import type { HostMessage } from './host-messages.ts';
import type { LocalVm } from './local-vm.ts';
import { Migrations } from './migrations.ts';
import { vmOwner } from './vm-owner.ts';

const VM = 'vm-1' as VmId;
const [A, B, C] = ['a', 'b', 'c'] as [HostId, HostId, HostId];

interface TabModel {
  readonly migrations: Migrations;
  owner: HostId | null;
  here: boolean;
  arrival: Promise<void> | null;
  movedTo: HostId | null;
}

/** Three tabs; a migration that a tab begins completes at once. Messages are delivered as soon as they are sent. */
function threeTabs() {
  const tabs = new Map<HostId, TabModel>();
  let moves = 0;
  for (const self of [A, B, C]) {
    const vm = { vmId: VM, state: { kind: 'running' }, migrate: () => () => undefined } as unknown as LocalVm;
    const tab: TabModel = {
      owner: A, here: false, arrival: null, movedTo: null,
      migrations: new Migrations({
        self,
        links: { open: () => Promise.resolve('webrtc') } as unknown as HostLinks,
        send: (to, message: HostMessage) => {
          if (message.type === 'migrate' || message.type === 'migrated') queueMicrotask(() => tabs.get(to)?.migrations.receive(self, message));
        },
        sendToRoom: () => undefined,
        ownerOf: () => tab.owner,
        ownerNow: () => vmOwner({ self, listed: tab.owner, here: tab.here ? 'settled' : tab.arrival === null ? null : 'arriving', movedTo: tab.movedTo }),
        memoryBytesOf: () => 0,
        isPresent: () => true,
        localVm: () => (tab.here ? vm : null),
        arrival: () => tab.arrival,
        started: (started) => {
          if (started.state.kind !== 'migrating') return;
          const { migrationId: id, to } = started.state as { migrationId: MigrationId; to: HostId };
          moves++;
          const report: MigrationReport = {
            id, vmId: VM, from: self, to, outcome: 'completed', rounds: [], pauseMs: 1, totalMs: 1, bytesOnWire: 1, memoryBytes: 1, link: 'webrtc', verified: null,
          };
          setTimeout(() => {
            started.state = { kind: 'running' } as LocalVm['state'];
            tab.migrations.finished(report);
          }, 0);
        },
        ended: () => undefined,
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
    expect(await c.migrations.migrate(VM, B, {})).toMatchObject({ outcome: 'failed', cause: 'unknown-vm', reason: 'There is no VM with the id vm-1 in this room.' });
  });
});
