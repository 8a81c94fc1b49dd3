/**
 * One move of a VM away from this tab, from the request to the report. While the link to the target is being opened,
 * the VM's worker knows nothing of the move; once the link's ends are handed over, the worker runs it. Requests about
 * the move (such as cancel) go to this object, not to the worker. `done` resolves once, however the move ends.
 */
import { CAUSE_SENTENCES, MigrationError } from '../migration/migration-error.ts';
import type { LinkKind, MigrationCause, MigrationPhase, MigrationProgress, MigrationReport } from '../migration/report.ts';
import { settlable } from '../migration/settlable.ts';
import type { Clock } from '../shared/clock.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import type { HandOver, LinkAttempt, LinkWaiter } from './host-links.ts';
import type { MigrateOptions } from './scripting-interface.ts';
import type { MigrationEnds } from '../vm-host/vm-worker-messages.ts';

export interface DepartureOrder {
  readonly id: MigrationId;
  readonly vmId: VmId;
  readonly from: HostId;
  readonly to: HostId;
  readonly memoryBytes: number;
  readonly options: MigrateOptions;
}

/** Opens one of the migration's links and hands over this tab's ends; when nobody waits any more, rejects with MigrationError('cancelled'). */
export type OpenLink = (handOver: HandOver, waiter: LinkWaiter, attempt?: LinkAttempt) => Promise<LinkKind>;

export interface DeparturePort {
  /** The worker runs the migration from here on. */
  begin(ends: MigrationEnds): void;
  nextLink(attempt: number, ends: MigrationEnds): void;
  noLink(reason: string): void;
  cancel(): void;
  targetLeft(): void;
  /** Progress from before the worker reports any. */
  progress(progress: MigrationProgress): void;
  /** The move ended before the worker knew of it: the VM keeps running here. */
  notBegun(report: MigrationReport): void;
}

/** In these phases a commit may be in flight: only the relay knows which host owns the VM. */
const IN_DOUBT: readonly MigrationPhase[] = ['switchover', 'commit', 'done'];

export class Departure {
  readonly order: DepartureOrder;
  /** Resolves after the VM and the room know that the move has ended. */
  readonly done: Promise<MigrationReport>;
  private stage: 'opening' | 'in-worker' | 'over' = 'opening';
  private readonly openLink: OpenLink;
  private readonly port: DeparturePort;
  private readonly ending = settlable<MigrationReport>();
  private readonly giveUp = new AbortController();
  private readonly clock: Clock;
  private readonly began: number;
  private link: LinkKind | null = null;
  private newest: MigrationProgress | null = null;
  private doubtSince: number | null = null;

  constructor(order: DepartureOrder, openLink: OpenLink, port: DeparturePort, clock: Clock) {
    this.order = order;
    this.openLink = openLink;
    this.port = port;
    this.clock = clock;
    this.began = clock.now();
    this.done = this.ending.promise;
  }

  /** Opens the first link and starts the worker's part with its ends. */
  start(): void {
    this.waits();
    this.openLink(
      (ends) => {
        this.port.begin(ends);
        this.stage = 'in-worker';
      },
      { signal: this.giveUp.signal, targetLoading: (share) => this.waits(share) },
    ).then(
      (kind) => (this.link = kind),
      (error: unknown) => {
        if (this.stage !== 'opening') return;
        const { cause, message } = error instanceof MigrationError ? error : new MigrationError('internal', sentenceOf(error));
        this.port.notBegun(this.report(cause, message));
      },
    );
  }

  /** The link died and the worker wants another. */
  openNext(attempt: number, avoid: LinkKind): void {
    const waiter = { signal: this.giveUp.signal, targetLoading: () => undefined };
    this.openLink((ends) => this.port.nextLink(attempt, ends), waiter, { attempt, avoid }).then(
      (kind) => (this.link = kind),
      (error: unknown) => this.port.noLink(sentenceOf(error)),
    );
  }

  /** Asks to cancel; `done` says whether it was in time. */
  cancel(): void {
    if (this.stage === 'opening') this.port.notBegun(this.report('cancelled', CAUSE_SENTENCES.cancelled));
    else if (this.stage === 'in-worker') this.port.cancel();
  }

  /** `hostId` has left the room. Opening a link has time limits of its own (host-links.ts). */
  hostLeft(hostId: HostId): void {
    if (hostId === this.order.to && this.stage === 'in-worker') this.port.targetLeft();
  }

  /** The worker could not read an order; this checks whether it was the order to begin. */
  unreadable(): void {
    if (this.stage === 'in-worker' && this.newest === null)
      this.port.notBegun(this.report('link-failed', 'This browser could not hand the connection to the PC. Reload both tabs and try again.'));
  }

  progressed(progress: MigrationProgress): void {
    this.newest = progress;
    this.doubtSince = IN_DOUBT.includes(progress.phase) ? (this.doubtSince ?? this.clock.now()) : null;
  }

  /** After the worker's latest report it is unclear which host owns the VM. */
  get inDoubt(): boolean {
    return this.doubtSince !== null;
  }

  /** Ends the move: settles `done` and stops opening links. */
  finish(report: MigrationReport): void {
    if (this.stage === 'over') return;
    this.stage = 'over';
    this.giveUp.abort();
    this.ending.resolve(report);
  }

  /** The report of a move that the worker did not report, because it did not know of it yet or because the worker itself ended. */
  report(cause: MigrationCause, reason: string): MigrationReport {
    return { ...this.figures(), outcome: cause === 'cancelled' ? 'cancelled' : 'failed', cause, reason };
  }

  /** The report if the worker ended before it could say that the target has the VM. The pause given is an upper bound. */
  arrivedUnseen(): MigrationReport {
    return { ...this.figures(), outcome: 'completed', pauseMs: this.clock.now() - (this.doubtSince ?? this.began) };
  }

  private waits(targetLoaded?: number): void {
    const { id, vmId, from, to } = this.order;
    this.port.progress({
      id,
      vmId,
      from,
      to,
      phase: 'offer',
      round: 0,
      pagesLeft: 0,
      pagesSent: 0,
      bytesSent: 0,
      bytesPerSecond: 0,
      expectedPauseMs: 0,
      ...(targetLoaded === undefined ? {} : { targetLoaded }),
    });
  }

  private figures(): Omit<MigrationReport, 'outcome'> {
    const { id, vmId, from, to, memoryBytes } = this.order;
    return {
      id,
      vmId,
      from,
      to,
      rounds: [],
      pauseMs: 0,
      downtime: null,
      totalMs: this.clock.now() - this.began,
      bytesOnWire: this.newest?.bytesSent ?? 0,
      memoryBytes,
      link: this.link,
      verified: null,
    };
  }
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
