/** What every component of the page is given to draw, and the verbs it may call. */
import type { MigrationProgress } from '../migration/report.ts';
import type { EndedMigration, Tab, TabMotionHost, TabView, VmView } from '../host/scripting-interface.ts';
import type { PingHistory } from './ping-model.ts';

export interface Scene {
  readonly view: TabView;
  readonly selfId: string;
  /** The VM whose console is shown. */
  readonly selected: VmView | null;
  /** The page asked somebody to stay (they were about to close the tab) and now offers to move the VMs. */
  readonly leaving: boolean;
  readonly pings: (vmId: string) => PingHistory;
  /** Options for the next migration. */
  readonly verify: boolean;
  /** The room's hosts are known; before that, this tab only seems to be alone. */
  readonly joined: boolean;
}

export interface Actions {
  select(vmId: string): void;
  migrate(vmId: string, hostId: string): void;
  cancel(vmId: string): void;
  startVm(): void;
  dismiss(vmId: string): void;
  dismissEnded(vmIds: readonly string[]): void;
  forget(vmId: string, epoch: number): void;
  setVerify(verify: boolean): void;
  stay(): void;
  /** `hostPort` 0: any free one. */
  addForward(vmId: string, guestPort: number, hostPort: number): void;
  removeForward(hostPort: number): void;
  /** Does the work; if it fails, the page's notice says why. */
  attempt(work: () => Promise<unknown>): void;
  readonly tab: Tab;
}

/** A host's name in a sentence: "this tab" for one's own. */
export function hostName(scene: Pick<Scene, 'view' | 'selfId'>, hostId: string): string {
  if (hostId === scene.selfId) return 'this tab';
  return scene.view.hosts.find((host) => host.id === hostId)?.name ?? 'a tab that is away';
}

export function migrationOf(view: Pick<TabView, 'migrations'>, vmId: string): MigrationProgress | null {
  return view.migrations.find((migration) => migration.vmId === vmId && migration.phase !== 'done') ?? null;
}

export function lastEndedOf(view: Pick<TabView, 'reports'>, vmId: string): EndedMigration | null {
  return view.reports.findLast(({ report }) => report.vmId === vmId) ?? null;
}

/** Where the VM can go now. */
export function targetsOf(view: Pick<TabView, 'hosts'>, vm: VmView): readonly TabMotionHost[] {
  return view.hosts.filter((host) => host.id !== vm.hostId);
}

/** Whether the VM can be asked to move now; otherwise the reason in words. */
export function movable(vm: VmView): { readonly ok: true } | { readonly ok: false; readonly why: string } {
  if (vm.ended) return { ok: false, why: 'It is powered off.' };
  if (!vm.ownerPresent) return { ok: false, why: 'The tab that holds it is away. It can move again when that tab is back.' };
  if (vm.waitingFor !== null) return { ok: false, why: 'It can move again when that is over.' };
  if (vm.state === 'starting') return { ok: false, why: 'It is still starting.' };
  if (vm.state === 'migrating') return { ok: false, why: 'It is about to move.' };
  return { ok: true };
}
