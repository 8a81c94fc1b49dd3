/**
 * Migrations as the room sees them: any tab may ask, the VM's owner runs it, everybody hears progress and the report.
 */
import { CAUSE_SENTENCES, MigrationError } from '../migration/migration-error.ts';
import type { MigrationCause, MigrationProgress, MigrationReport } from '../migration/report.ts';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import type { HostLinks } from './host-links.ts';
import type { HostMessage, HostMessageOf } from './host-messages.ts';
import { AskedRequests, PerformedRequests } from './host-requests.ts';
import type { LocalVm } from './local-vm.ts';
import { MigrationHistory } from './migration-history.ts';
import { MoveWish } from './move-wish.ts';
import { randomId } from './random.ts';
import type { EndedMigration, MigrateOptions } from './scripting-interface.ts';

/** A lost connection is noticed only after a while; what was sent in between did not arrive. */
const UNNOTICED_LOSS_MS = 30_000;
/** A cancel request and the news of the end may cross. */
const JUST_NOW_MS = 5000;
const OWNER_AWAY = 'The tab that runs this VM is away: it is closed, frozen or has lost its connection.';
const LOST_TEXTS = {
  'host-left': 'The tab that runs this VM has left the room before the migration ended.',
  'not-delivered': 'The tab that runs this VM cannot be reached: it, or this tab, has lost the connection to the server. Try again in a moment.',
  'left-the-room': 'This tab has left the room.',
} as const;

export interface MigrationsOptions {
  readonly self: HostId;
  readonly clock: Clock;
  /** The computer's own clock, in milliseconds since 1970. */
  readonly wallMs: () => number;
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
  /** The host is in the room, or may still come back after a server outage. */
  readonly isExpected: (hostId: HostId) => boolean;
  /** Resolves with true once the host can be reached; with false when that can no longer be expected. */
  readonly whenPresent: (hostId: HostId) => Promise<boolean>;
  /** The VM, if it runs, starts or migrates from here. */
  readonly localVm: (vmId: VmId) => LocalVm | null;
  /** If the VM is arriving: resolves once it runs here, or will not. Otherwise null. */
  readonly arrival: (vmId: VmId) => Promise<unknown> | null;
  readonly started: (vm: LocalVm) => void;
  readonly ended: (migration: EndedMigration) => void;
  /** Migrations from before this tab joined: not news. */
  readonly recalled: (migrations: readonly EndedMigration[]) => void;
  readonly changed: () => void;
  readonly onProgress: (progress: MigrationProgress) => void;
}

export class Migrations implements Disposable {
  private readonly options: MigrationsOptions;
  private readonly asked: AskedRequests<MigrationReport>;
  private readonly cancelsAsked: AskedRequests<string | null>;
  private readonly performed = new PerformedRequests<MigrationReport>();
  private readonly cancelsPerformed = new PerformedRequests<string | null>();
  /** Moves that this tab's page or another tab asked this tab for, and that have not ended. */
  private readonly wishes = new Set<MoveWish>();
  private readonly current = new Map<VmId, MigrationProgress>();
  private readonly history = new MigrationHistory();
  private cutOffAt: number | null = null;
  /** Why this tab is no longer in the room; null while it is. */
  private whyNot: string | null = null;

  constructor(options: MigrationsOptions) {
    this.options = options;
    this.asked = new AskedRequests(options.clock);
    this.cancelsAsked = new AskedRequests(options.clock);
  }

  /** Migrations under way anywhere in the room. */
  underWay(): readonly MigrationProgress[] {
    return [...this.current.values()];
  }

  /** Those that ended, oldest first. */
  reports(): readonly EndedMigration[] {
    return this.history.list();
  }

  /** The server does not answer. */
  cutOff(): void {
    this.cutOffAt ??= this.options.wallMs();
  }

  /** The server has refused this tab for good, with this sentence: requests that wait for another host end. */
  refused(reason: string): void {
    this.whyNot = reason;
    this.dispose();
  }

  /** The server answers again: the room may have missed how migrations of this tab's VMs ended. */
  returned(): void {
    const since = (this.cutOffAt ?? this.options.wallMs()) - UNNOTICED_LOSS_MS;
    this.cutOffAt = null;
    for (const { at, known, report } of this.history.list()) {
      if (at >= since && known === 'news' && report.from === this.options.self) this.tellRoom(report);
    }
  }

  /** This tab has joined or returned and is about to send `details-wanted`: `hosts`, which it found in the room, may answer with what they remember. */
  askPast(hosts: readonly HostId[]): void {
    this.history.ask(
      hosts.filter((host) => host !== this.options.self),
      this.options.wallMs(),
    );
  }

  /** Another host joined; this tab may be the only one that remembers. */
  tellPast(to: HostId): void {
    const reports = this.history.past(this.options.wallMs());
    if (reports.length > 0) this.options.send(to, { type: 'past-reports', reports });
  }

  /** Moves a VM of the room to a host of the room. Always resolves: the report says what became of it. */
  async migrate(vmId: VmId, targetId: HostId, options: MigrateOptions): Promise<MigrationReport> {
    const wish = new MoveWish(vmId);
    this.wishes.add(wish);
    const report = await this.fulfil(wish, targetId, options);
    this.wishes.delete(wish);
    return report;
  }

  /** Cancels the VM's migration; rejects with a sentence when there is none or it is too late. */
  async cancel(vmId: VmId): Promise<void> {
    const refusal = await this.tryToCancel(vmId);
    if (refusal !== null) throw new Error(refusal);
  }

  /** A migration of a VM of this tab ended. */
  finished(report: MigrationReport): void {
    this.tellRoom(report);
    this.remember(report, 'news');
  }

  progressed(progress: MigrationProgress): void {
    this.options.sendToRoom({ type: 'progress', progress });
    this.noted(progress);
  }

  receive(from: HostId, message: HostMessageOf<'migrate' | 'migrated' | 'cancel' | 'cancelled' | 'progress' | 'report' | 'past-reports'>): void {
    switch (message.type) {
      case 'migrate':
        this.performed.perform(
          from,
          message.requestId,
          () => this.migrate(message.vmId, message.targetId, message.options),
          (report) => this.options.send(from, { type: 'migrated', requestId: message.requestId, report: { ...report, rounds: [...report.rounds] } }),
        );
        break;
      case 'migrated':
        this.asked.answered(from, message.requestId, message.report);
        break;
      case 'cancel':
        this.cancelsPerformed.perform(
          from,
          message.requestId,
          () => this.cancelAsked(from, message),
          (refusal) => this.options.send(from, { type: 'cancelled', requestId: message.requestId, refusal }),
        );
        break;
      case 'cancelled':
        this.cancelsAsked.answered(from, message.requestId, message.refusal);
        break;
      case 'progress':
        if (this.options.ownerOf(message.progress.vmId) === from) this.noted(message.progress);
        break;
      case 'report':
        // A host that was cut off sends reports again that others may have missed.
        if (message.report.from === from && !this.history.heardEndOf(message.report.id)) this.remember(message.report, 'news');
        break;
      case 'past-reports': {
        // Only the host that ran a migration is trusted to say that it is over.
        for (const { report } of message.reports) if (report.from === from) this.noMore(report);
        const recalled = this.history.recall(from, message.reports, this.options.wallMs());
        if (recalled.length > 0) this.options.recalled(recalled);
        this.options.changed();
        break;
      }
    }
  }

  /** The relay could not deliver a message of ours to this host. */
  undeliverable(to: HostId, message: HostMessageOf<'migrate' | 'cancel'>): void {
    (message.type === 'migrate' ? this.asked : this.cancelsAsked).undeliverable(to, message.requestId);
  }

  /** A host left the room: requests that waited for its answer end. */
  forgetHost(hostId: HostId): void {
    this.history.forgetHost(hostId);
    this.asked.forgetHost(hostId);
    this.cancelsAsked.forgetHost(hostId);
    for (const [vmId, progress] of this.current) {
      if (progress.from === hostId) this.current.delete(vmId);
    }
  }

  dispose(): void {
    this.asked.dispose();
    this.cancelsAsked.dispose();
  }

  /** Resolves with null once the VM's migration has ended without moving it, otherwise with a sentence that says why not. */
  private async tryToCancel(vmId: VmId): Promise<string | null> {
    const departure = this.options.localVm(vmId)?.departure ?? null;
    if (departure !== null) {
      departure.cancel();
      return this.refusalBy(await departure.done);
    }
    const wishes = [...this.wishes].filter((wish) => wish.vmId === vmId);
    const waiting = wishes.filter((wish) => wish.asked === null);
    for (const wish of waiting) wish.cancel();
    const asked = wishes.flatMap((wish) => wish.asked ?? []);
    if (asked.length > 0) {
      // Somebody who pressed Migrate twice wants to cancel both; if one of them has moved the VM, it was too late.
      const refusals = await Promise.all(asked.map(({ owner, requestId }) => this.askToCancel(owner, vmId, requestId)));
      return refusals.find((refusal) => refusal !== null) ?? null;
    }
    if (waiting.length > 0) return null;
    const owner = this.options.ownerNow(vmId);
    return owner === null || owner === this.options.self ? this.notBeingMoved(vmId) : this.askToCancel(owner, vmId, null);
  }

  private async askToCancel(owner: HostId, vmId: VmId, migrateRequestId: string | null): Promise<string | null> {
    // If the host has left already, no `hostLeft` event will end the request.
    if (!(await this.options.whenPresent(owner))) return this.ownerAwayText();
    const outcome = await this.cancelsAsked.ask(owner, (requestId) => this.options.send(owner, { type: 'cancel', requestId, vmId, migrateRequestId }));
    return 'answer' in outcome ? outcome.answer : this.lostText(outcome.lost);
  }

  /** Another tab asks to cancel. If the migrate request that it wants to cancel has not arrived yet, it is answered as cancelled when it arrives. */
  private async cancelAsked(from: HostId, { vmId, migrateRequestId }: HostMessageOf<'cancel'>): Promise<string | null> {
    if (migrateRequestId !== null) {
      const known = this.performed.state(from, migrateRequestId);
      if (known === 'unknown') {
        this.performed.answerAhead(from, migrateRequestId, this.failure(vmId, this.options.self, 'cancelled', CAUSE_SENTENCES.cancelled));
        return null;
      }
      if (known !== 'being-performed') return this.refusalBy(known.answer);
    }
    return this.tryToCancel(vmId);
  }

  /** Why a cancel request failed; null if it succeeded: the migration ended, and the VM is where it was. */
  private refusalBy({ outcome, cause, reason, vmId, to }: MigrationReport): string | null {
    if (outcome === 'completed') return `It was too late to cancel: ${this.options.vmNameOf(vmId)} has moved to ${this.options.hostNameOf(to)}.`;
    return cause === 'vm-ended' ? (reason ?? CAUSE_SENTENCES[cause]) : null;
  }

  private notBeingMoved(vmId: VmId): string {
    const last = this.history.list().findLast(({ known, report }) => known === 'news' && report.vmId === vmId);
    if (last !== undefined && this.options.wallMs() - last.at < JUST_NOW_MS) return this.refusalBy(last.report) ?? 'The move has ended already.';
    return `${this.options.vmNameOf(vmId)} is not being moved.`;
  }

  private tellRoom(report: MigrationReport): void {
    this.options.sendToRoom({ type: 'report', report: { ...report, rounds: [...report.rounds] } });
  }

  private async fulfil(wish: MoveWish, targetId: HostId, options: MigrateOptions): Promise<MigrationReport> {
    const { vmId } = wish;
    const owner = this.options.ownerNow(vmId);
    if (owner === null) return this.refuse(vmId, targetId, 'unknown-vm', CAUSE_SENTENCES['unknown-vm']);
    if (owner === this.options.self) return this.run(wish, targetId, options);
    const present = await Promise.race([this.options.whenPresent(owner), wish.cancelled]);
    if (wish.isCancelled) return this.refuse(vmId, targetId, 'cancelled', CAUSE_SENTENCES.cancelled);
    if (present !== true) return this.refuse(vmId, targetId, 'unknown-host', this.ownerAwayText());
    // The VM may have moved or ended while this tab waited.
    if (this.options.ownerNow(vmId) !== owner) return this.fulfil(wish, targetId, options);
    const outcome = await this.asked.ask(owner, (requestId) => {
      wish.asked = { owner, requestId };
      this.options.send(owner, { type: 'migrate', requestId, vmId, targetId, options });
    });
    return 'answer' in outcome ? outcome.answer : this.refuse(vmId, targetId, 'unknown-host', this.lostText(outcome.lost));
  }

  /** If this tab itself is cut off, it knows nothing about the owner. */
  private ownerAwayText(): string {
    return this.whyNot ?? (this.cutOffAt === null ? OWNER_AWAY : LOST_TEXTS['not-delivered']);
  }

  private lostText(lost: keyof typeof LOST_TEXTS): string {
    return lost === 'left-the-room' ? (this.whyNot ?? LOST_TEXTS[lost]) : LOST_TEXTS[lost];
  }

  /** Runs a migration of a VM of this tab. */
  private async run(wish: MoveWish, targetId: HostId, options: MigrateOptions): Promise<MigrationReport> {
    const { vmId } = wish;
    // The relay or the former host may have announced a move before the VM's worker has told this tab.
    await Promise.race([this.options.arrival(vmId), wish.cancelled]);
    if (wish.isCancelled) return this.refuse(vmId, targetId, 'cancelled', CAUSE_SENTENCES.cancelled);
    const vm = this.options.localVm(vmId);
    if (vm === null) return this.refuse(vmId, targetId, 'unknown-vm', `${this.options.vmNameOf(vmId)} does not run in this tab.`);
    if (targetId === this.options.self) return this.refuse(vmId, targetId, 'target-is-source', 'The VM runs on that host already.');
    if (!this.options.isExpected(targetId)) return this.refuse(vmId, targetId, 'unknown-host', CAUSE_SENTENCES['unknown-host']);
    if (vm.state.kind === 'migrating')
      return this.refuse(vmId, targetId, 'already-migrating', 'This VM is being moved already. Wait for the end, or cancel it.');
    if (vm.state.kind !== 'running') return this.refuse(vmId, targetId, 'already-migrating', 'This VM does not run yet. Try again in a moment.');

    const { self, links, memoryBytesOf } = this.options;
    const order = { id: randomId() as MigrationId, vmId, from: self, to: targetId, memoryBytes: memoryBytesOf(vmId), options };
    const departure = vm.depart(order, async (handOver, waiter, attempt) => {
      // Links have their own time limit for a server that is away.
      if (attempt === undefined && !(await this.options.whenPresent(targetId)) && !this.options.isExpected(targetId)) throw new MigrationError('unknown-host');
      return links.open(targetId, order.id, vmId, handOver, waiter, attempt);
    });
    this.options.started(vm);
    return departure.done;
  }

  private failure(vmId: VmId, to: HostId, cause: MigrationCause, reason: string): MigrationReport {
    return {
      id: randomId() as MigrationId,
      vmId,
      from: this.options.ownerOf(vmId) ?? this.options.self,
      to,
      outcome: cause === 'cancelled' ? 'cancelled' : 'failed',
      reason,
      cause,
      rounds: [],
      pauseMs: 0,
      downtime: null,
      totalMs: 0,
      bytesOnWire: 0,
      memoryBytes: this.options.memoryBytesOf(vmId),
      link: null,
      verified: null,
    };
  }

  /** A request that cannot even begin. Only this page hears of it. */
  private refuse(vmId: VmId, to: HostId, cause: MigrationCause, reason: string): MigrationReport {
    const report = this.failure(vmId, to, cause, reason);
    this.remember(report, 'refusal');
    return report;
  }

  private noted(progress: MigrationProgress): void {
    if (this.history.heardEndOf(progress.id)) return;
    this.current.set(progress.vmId, progress);
    this.options.onProgress(progress);
    this.options.changed();
  }

  private remember(report: MigrationReport, known: 'news' | 'refusal'): void {
    this.noMore(report);
    const ended: EndedMigration = {
      at: this.options.wallMs(),
      known,
      vmName: this.options.vmNameOf(report.vmId),
      toName: this.options.hostNameOf(report.to),
      report,
    };
    this.history.add(ended);
    this.options.ended(ended);
    this.options.changed();
  }

  private noMore({ id, vmId }: MigrationReport): void {
    if (this.current.get(vmId)?.id === id) this.current.delete(vmId);
  }
}
