/**
 * Migrations as the room sees them: any tab may ask, the VM's owner runs it, everybody hears progress and the report.
 */
import { MigrationError } from '../migration/migration-error.ts';
import type { LinkKind, MigrationCause, MigrationProgress, MigrationReport } from '../migration/report.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import type { HostLinks } from './host-links.ts';
import type { HostMessage, HostMessageOf } from './host-messages.ts';
import type { LocalVm } from './local-vm.ts';
import { MigrationHistory } from './migration-history.ts';
import { randomId } from './random.ts';
import type { EndedMigration, MigrateOptions } from './scripting-interface.ts';

/** How long another tab may take to say that it took up a request; the migration itself may take longer. */
const OWNER_GONE_TEXT = 'The tab that runs this VM has left the room before the migration ended.';

export interface MigrationsOptions {
  readonly self: HostId;
  readonly links: HostLinks;
  readonly send: (to: HostId, message: HostMessage) => void;
  readonly sendToRoom: (message: HostMessage) => void;
  /** The lease's holder, as the relay says; null for an unknown VM. */
  readonly ownerOf: (vmId: VmId) => HostId | null;
  /** The host that has the VM now (vm-owner.ts); null when nobody is known to. */
  readonly ownerNow: (vmId: VmId) => HostId | null;
  readonly memoryBytesOf: (vmId: VmId) => number;
  readonly vmNameOf: (vmId: VmId) => string;
  readonly hostNameOf: (hostId: HostId) => string;
  readonly isPresent: (hostId: HostId) => boolean;
  /** The VM, if it runs, starts or migrates from here. */
  readonly localVm: (vmId: VmId) => LocalVm | null;
  /** For a VM that is on its way here: resolves once it runs here or will not. Otherwise null. */
  readonly arrival: (vmId: VmId) => Promise<void> | null;
  readonly started: (vm: LocalVm) => void;
  readonly ended: (migration: EndedMigration) => void;
  /** Migrations of which this tab did not know, from before it joined: no news. */
  readonly recalled: (migrations: readonly EndedMigration[]) => void;
  readonly changed: () => void;
  readonly onProgress: (progress: MigrationProgress) => void;
}

export class Migrations {
  private readonly options: MigrationsOptions;
  private readonly asked = new Map<string, { owner: HostId; vmId: VmId; targetId: HostId; resolve: (report: MigrationReport) => void }>();
  private readonly cancelsAsked = new Map<string, { owner: HostId; settle: (refusal: string | null) => void }>();
  private readonly running = new Map<MigrationId, (report: MigrationReport) => void>();
  private readonly current = new Map<VmId, MigrationProgress>();
  private readonly history = new MigrationHistory();

  constructor(options: MigrationsOptions) {
    this.options = options;
  }

  /** Migrations under way anywhere in the room. */
  underWay(): readonly MigrationProgress[] {
    return [...this.current.values()];
  }

  /** Those that ended, oldest first. */
  reports(): readonly EndedMigration[] {
    return this.history.list();
  }

  /** This tab has joined and is about to send `details-wanted`: the hosts it found may tell what they remember. */
  askPast(hosts: readonly HostId[]): void {
    this.history.ask(hosts.filter((host) => host !== this.options.self), Date.now());
  }

  /** Another host joined; this one may be the only one that remembers. */
  tellPast(to: HostId): void {
    const reports = this.history.past(Date.now());
    if (reports.length > 0) this.options.send(to, { type: 'past-reports', reports });
  }

  /** Moves a VM of the room to a host of the room. Always resolves: the report says what became of it. */
  migrate(vmId: VmId, targetId: HostId, options: MigrateOptions): Promise<MigrationReport> {
    const owner = this.options.ownerNow(vmId);
    if (owner === null) return this.refuse(vmId, targetId, 'unknown-vm', `There is no VM with the id ${vmId} in this room.`);
    if (owner === this.options.self) return this.run(vmId, targetId, options);
    if (!this.options.isPresent(owner)) return this.refuse(vmId, targetId, 'unknown-host', 'The tab that runs this VM is away: it is closed, frozen or has lost its connection.');
    return new Promise((resolve) => {
      const requestId = randomId();
      this.asked.set(requestId, { owner, vmId, targetId, resolve });
      this.options.send(owner, { type: 'migrate', requestId, vmId, targetId, options });
    });
  }

  /** Cancels the VM's migration; rejects with a sentence when there is none or it is too late. */
  async cancel(vmId: VmId): Promise<void> {
    const local = this.options.localVm(vmId);
    const owner = this.options.ownerNow(vmId);
    const refusal = local !== null
      ? await local.cancel()
      : owner === null || owner === this.options.self
        ? 'This VM is not being moved.'
        : await new Promise<string | null>((settle) => {
            const requestId = randomId();
            this.cancelsAsked.set(requestId, { owner, settle });
            this.options.send(owner, { type: 'cancel', requestId, vmId });
          });
    if (refusal !== null) throw new Error(refusal);
  }

  /** A migration of a VM of this tab ended. */
  finished(report: MigrationReport): void {
    this.options.sendToRoom({ type: 'report', report: { ...report, rounds: [...report.rounds] } });
    this.remember(report, 'news');
    this.running.get(report.id)?.(report);
    this.running.delete(report.id);
  }

  progressed(progress: MigrationProgress): void {
    this.options.sendToRoom({ type: 'progress', progress });
    this.noted(progress);
  }

  receive(from: HostId, message: HostMessageOf<'migrate' | 'migrated' | 'cancel' | 'cancelled' | 'progress' | 'report' | 'past-reports'>): void {
    switch (message.type) {
      case 'migrate':
        void this.migrate(message.vmId, message.targetId, message.options).then((report) =>
          this.options.send(from, { type: 'migrated', requestId: message.requestId, report: { ...report, rounds: [...report.rounds] } }));
        break;
      case 'migrated': {
        const asked = this.asked.get(message.requestId);
        if (asked?.owner !== from) return;
        this.asked.delete(message.requestId);
        asked.resolve(message.report);
        break;
      }
      case 'cancel':
        void this.cancel(message.vmId).then(
          () => this.options.send(from, { type: 'cancelled', requestId: message.requestId, refusal: null }),
          (error: unknown) => this.options.send(from, { type: 'cancelled', requestId: message.requestId, refusal: error instanceof Error ? error.message : String(error) }),
        );
        break;
      case 'cancelled':
        if (this.cancelsAsked.get(message.requestId)?.owner !== from) return;
        this.cancelsAsked.get(message.requestId)?.settle(message.refusal);
        this.cancelsAsked.delete(message.requestId);
        break;
      case 'progress':
        if (this.options.ownerOf(message.progress.vmId) === from) this.noted(message.progress);
        break;
      case 'report':
        if (message.report.from === from) this.remember(message.report, 'news');
        break;
      case 'past-reports': {
        const recalled = this.history.recall(from, message.reports, Date.now());
        if (recalled.length === 0) return;
        this.options.recalled(recalled);
        this.options.changed();
        break;
      }
    }
  }

  /** A host left the room: what waited for its answer ends. */
  forgetHost(hostId: HostId): void {
    this.history.forgetHost(hostId);
    for (const [requestId, asked] of this.asked) {
      if (asked.owner !== hostId) continue;
      this.asked.delete(requestId);
      void this.refuse(asked.vmId, asked.targetId, 'unknown-host', OWNER_GONE_TEXT).then(asked.resolve);
    }
    for (const [requestId, asked] of this.cancelsAsked) {
      if (asked.owner !== hostId) continue;
      this.cancelsAsked.delete(requestId);
      asked.settle(OWNER_GONE_TEXT);
    }
    for (const [vmId, progress] of this.current) {
      if (progress.from === hostId) this.current.delete(vmId);
    }
  }

  /** Runs a migration of a VM of this tab. */
  private async run(vmId: VmId, targetId: HostId, options: MigrateOptions): Promise<MigrationReport> {
    // The relay, or the former host, may have told of a move before the VM's worker has told this tab.
    await this.options.arrival(vmId);
    const vm = this.options.localVm(vmId);
    if (vm === null) return this.refuse(vmId, targetId, 'unknown-vm', `The VM ${vmId} does not run in this tab.`);
    if (targetId === this.options.self) return this.refuse(vmId, targetId, 'target-is-source', 'The VM runs on that host already.');
    if (!this.options.isPresent(targetId)) return this.refuse(vmId, targetId, 'unknown-host', `There is no host with the id ${targetId} in this room.`);
    if (vm.state.kind === 'migrating') return this.refuse(vmId, targetId, 'already-migrating', 'This VM is being moved already. Wait for the end, or cancel it.');
    if (vm.state.kind !== 'running') return this.refuse(vmId, targetId, 'already-migrating', 'This VM does not run yet. Try again in a moment.');

    const migrationId = randomId() as MigrationId;
    const beforeStart = vm.state;
    const began = performance.now();
    vm.state = { kind: 'migrating', identity: beforeStart.identity, epoch: beforeStart.epoch, migrationId, to: targetId };
    this.options.started(vm);
    let link: LinkKind = 'webrtc';
    try {
      const finished = new Promise<MigrationReport>((resolve) => this.running.set(migrationId, resolve));
      link = await this.options.links.open(targetId, migrationId, vmId, vm.migrate(targetId, migrationId, options));
      return await finished;
    } catch (error) {
      // The lanes never opened: the worker knows nothing of this migration.
      this.running.delete(migrationId);
      if (this.options.localVm(vmId) === vm) vm.state = beforeStart;
      const cause: MigrationCause = error instanceof MigrationError ? error.cause : 'internal';
      const report = this.failure(migrationId, vmId, targetId, cause, error instanceof Error ? error.message : String(error), link, performance.now() - began);
      this.finished(report);
      return report;
    }
  }

  /** The link of a migration of a VM of this tab died: opens another for it, or says that there is none. */
  reconnect(vm: LocalVm, attempt: number, avoid: LinkKind): void {
    if (vm.state.kind !== 'migrating') return;
    this.options.links.open(vm.state.to, vm.state.migrationId, vm.vmId, vm.nextLink(attempt), { attempt, avoid }).catch((error: unknown) => {
      vm.noLink(error instanceof Error ? error.message : String(error));
    });
  }

  private failure(id: MigrationId, vmId: VmId, to: HostId, cause: MigrationCause, reason: string, link: LinkKind, totalMs: number): MigrationReport {
    return {
      id, vmId, from: this.options.ownerOf(vmId) ?? this.options.self, to, outcome: 'failed', reason, cause, rounds: [],
      pauseMs: 0, totalMs, bytesOnWire: 0, memoryBytes: this.options.memoryBytesOf(vmId), link, verified: null,
    };
  }

  /** A request that cannot even begin. It is told to this page alone. */
  private refuse(vmId: VmId, to: HostId, cause: MigrationCause, reason: string): Promise<MigrationReport> {
    const report = this.failure(randomId() as MigrationId, vmId, to, cause, reason, 'webrtc', 0);
    this.remember(report, 'refusal');
    return Promise.resolve(report);
  }

  private noted(progress: MigrationProgress): void {
    if (this.history.heardEndOf(progress.id)) return;
    this.current.set(progress.vmId, progress);
    this.options.onProgress(progress);
    this.options.changed();
  }

  private remember(report: MigrationReport, known: 'news' | 'refusal'): void {
    if (this.current.get(report.vmId)?.id === report.id) this.current.delete(report.vmId);
    const ended: EndedMigration = { at: Date.now(), known, vmName: this.options.vmNameOf(report.vmId), toName: this.options.hostNameOf(report.to), report };
    this.history.add(ended);
    this.options.ended(ended);
    this.options.changed();
  }
}
