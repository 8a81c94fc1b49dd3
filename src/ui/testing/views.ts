/** Small views for tests of what the page says. */
import type { EndedMigration, EndedVmView, TabMotionHost, TabView, VmView } from '../../host/scripting-interface.ts';
import type { MigrationProgress, MigrationReport } from '../../migration/report.ts';
import type { HostId, MigrationId, VmId } from '../../shared/ids.ts';
import type { Scene } from '../scene.ts';

export const HERE = 'host-here';
export const THERE = 'host-there';

export const hosts: readonly TabMotionHost[] = [
  { id: HERE, name: 'brave-otter', self: true, ready: true, vms: 1 },
  { id: THERE, name: 'Laptop of Ada', self: false, ready: true, vms: 0 },
];

export function vm(change: Partial<VmView> = {}): VmView {
  return {
    id: 'vm-1',
    name: 'pc-1',
    state: 'running',
    hostId: HERE,
    mac: '02:5a:00:00:00:02',
    ip: '10.86.0.2',
    memoryBytes: 134_217_728,
    epoch: 1,
    here: true,
    movedAway: false,
    ownerPresent: true,
    forwards: [],
    traffic: null,
    password: null,
    waitingFor: null,
    ended: false,
    ...change,
  };
}

export function report(change: Partial<MigrationReport> = {}): MigrationReport {
  return {
    id: 'm1' as MigrationId,
    vmId: 'vm-1' as VmId,
    from: HERE as HostId,
    to: THERE as HostId,
    outcome: 'completed',
    rounds: [{ pages: 100, bytes: 143_200, ms: 40, dirtied: 9 }],
    pauseMs: 31,
    downtime: null,
    totalMs: 240,
    bytesOnWire: 2_200_000,
    memoryBytes: 134_217_728,
    link: 'webrtc',
    verified: null,
    ...change,
  };
}

/** Ended at 1,000 ms. */
export function ended(change: Partial<MigrationReport> = {}, known: EndedMigration['known'] = 'news'): EndedMigration {
  return { at: 1_000, known, vmName: 'pc-1', toName: 'Laptop of Ada', report: report(change) };
}

export function endedVm(change: Partial<EndedVmView> = {}): EndedVmView {
  return { id: 'vm-0', name: 'pc-0', at: 500, text: 'pc-0 ended when its tab, quick-heron, was closed or reloaded.', wasHere: false, ...change };
}

export function progress(change: Partial<MigrationProgress> = {}): MigrationProgress {
  return {
    id: 'm1' as MigrationId,
    vmId: 'vm-1' as VmId,
    from: HERE as HostId,
    to: THERE as HostId,
    phase: 'rounds',
    round: 1,
    pagesLeft: 100,
    pagesSent: 300,
    bytesSent: 400_000,
    bytesPerSecond: 18_000_000,
    expectedPauseMs: 30,
    ...change,
  };
}

export function scene(view: Partial<TabView> = {}, selected: VmView | null = vm()): Pick<Scene, 'view' | 'selfId' | 'selected'> {
  return {
    view: {
      room: 'default',
      invitation: 'http://192.0.2.1:8686/?room=default#key',
      address: 'http://localhost:8686/?room=default#key',
      othersCanJoin: true,
      owner: null,
      secure: true,
      starting: null,
      trouble: null,
      hosts,
      vms: selected === null ? [] : [selected],
      endedVms: [],
      migrations: [],
      reports: [],
      log: [],
      links: {},
      standby: false,
      ...view,
    },
    selfId: HERE,
    selected,
  };
}
