/** What the source tells people while it migrates a VM: progress, log sentences, what it waits for, the report. */
import type { Disposable } from '../shared/disposable.ts';
import { PROGRESS_EVERY_MS, SAY_WAITING_AFTER_MS } from './limits.ts';
import type { PageStream } from './page-stream.ts';
import type { LinkKind, MigrationPhase, MigrationReport } from './report.ts';
import type { CancelAnswer, SenderDeps } from './sender-api.ts';
import type { SenderEffect, SenderState } from './sender-states.ts';

const PHASES: Readonly<Record<SenderState['name'], MigrationPhase>> = {
  offering: 'offer',
  preparing: 'prepare',
  copying: 'rounds',
  reconnecting: 'rounds',
  holding: 'hold',
  stopping: 'switchover',
  'handing-over': 'switchover',
  committing: 'commit',
  aborting: 'commit',
  confirming: 'commit',
  withdrawing: 'switchover',
  ended: 'done',
};

export class SenderVoice {
  private readonly deps: SenderDeps;
  private kind: LinkKind;
  private progressAt = Number.NEGATIVE_INFINITY;
  private awaited: { readonly sentence: string; readonly timer: Disposable } | null = null;
  private waitingSaid = false;

  constructor(deps: SenderDeps) {
    this.deps = deps;
    this.kind = deps.link.kind;
  }

  log(sentence: string): void {
    this.deps.onLog?.(sentence);
  }

  linkReplaced(kind: LinkKind): void {
    this.kind = kind;
  }

  /** A state was entered: if it lasts, says what it waits for. */
  entered(state: SenderState): void {
    const sentence = whatIsWaitedFor(state);
    if (sentence === (this.awaited?.sentence ?? null)) return;
    this.awaited?.timer.dispose();
    this.awaited = null;
    this.leaseWaits(null);
    if (sentence === null) return;
    const timer = this.deps.clock.setTimeout(() => this.leaseWaits(sentence), SAY_WAITING_AFTER_MS);
    this.awaited = { sentence, timer };
  }

  /** The lease, or a state that lasts, waits for something; null: it goes on. */
  leaseWaits(what: string | null): void {
    if (what === null && !this.waitingSaid) return;
    this.waitingSaid = what !== null;
    this.deps.onWaiting?.(what);
    if (what !== null) this.log(what);
  }

  /** Reports progress: at once, or only if the last report is long enough ago. */
  progress(state: SenderState, stream: PageStream, atOnce: boolean): void {
    const { onProgress, clock, offer } = this.deps;
    const at = clock.now();
    if (onProgress === undefined || (!atOnce && at - this.progressAt < PROGRESS_EVERY_MS)) return;
    this.progressAt = at;
    onProgress({
      id: offer.migrationId,
      vmId: offer.vmId,
      from: offer.from,
      to: offer.to,
      phase: PHASES[state.name],
      round: state.trip.rounds.length + (state.name === 'copying' ? 1 : 0),
      pagesLeft: stream.pagesLeft,
      pagesSent: stream.totals.pages,
      bytesSent: stream.totals.bytes,
      bytesPerSecond: Math.round(stream.bytesPerSecond ?? 0),
      expectedPauseMs: Math.round(state.trip.expectedPauseMs),
      distanceMs: Math.round(state.trip.distanceMs),
    });
  }

  report({ trip }: SenderState, { verdict, pauseMs, downtime }: Extract<SenderEffect, { type: 'finish' }>, bytesOnWire: number): MigrationReport {
    const { offer, clock, options } = this.deps;
    const completed = verdict.outcome === 'completed';
    return {
      id: offer.migrationId,
      vmId: offer.vmId,
      from: offer.from,
      to: offer.to,
      outcome: verdict.outcome,
      ...(completed ? {} : { reason: verdict.reason, cause: verdict.cause }),
      rounds: trip.rounds,
      pauseMs,
      downtime,
      totalMs: clock.now() - trip.startedAt,
      bytesOnWire,
      memoryBytes: offer.memoryBytes,
      link: this.kind,
      verified: options?.verify !== true ? null : completed ? true : verdict.cause === 'digest-mismatch' ? false : null,
    };
  }
}

/** The answer to a cancel request, once the migration has ended. */
export function answerCancel(report: MigrationReport): CancelAnswer {
  switch (report.outcome) {
    case 'cancelled':
      return { cancelled: true, sentence: 'The migration was cancelled; the VM runs on where it was.' };
    case 'completed':
      return { cancelled: false, sentence: 'It is too late to cancel: the VM runs on the target now.' };
    case 'failed':
      return { cancelled: false, sentence: `The migration had failed already: ${report.reason ?? ''}` };
  }
}

/** What a state that lasts waits for; null for states that do work. */
function whatIsWaitedFor(state: SenderState): string | null {
  switch (state.name) {
    case 'offering':
      return 'The target has not answered the offer yet.';
    case 'preparing':
      return 'The target is still building the VM.';
    case 'reconnecting':
      return 'Another connection to the target is being opened.';
    case 'holding':
      return "The relay has not confirmed that it holds the VM's network frames.";
    case 'stopping':
      return state.stoppedAt === null ? "The VM's processor is being stopped." : "The VM's disk reads are being completed.";
    case 'handing-over':
      return 'The last pages are on their way to the target.';
    case 'committing':
      if (!state.relayDrained) return 'The relay has not confirmed the switchover yet.';
      return 'The relay has not said yet whether the target runs the VM.';
    case 'aborting':
      return 'The relay is asked whose the VM is; until it answers, the VM stays stopped.';
    case 'withdrawing':
      return state.vm === 'resuming' ? 'The VM is being started again.' : 'The relay has not ended its hold yet.';
    case 'copying':
      return state.step === 'readying' && state.readyAt === null ? 'The target has not reached the relay yet, which it needs to take the VM over.' : null;
    case 'confirming':
    case 'ended':
      return null;
  }
}
