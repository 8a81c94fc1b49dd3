/**
 * The states of the source's side, what can happen to it and what it asks for (rules MG10-MG33 of PROTOCOL.md, which
 * uses the same names). A state carries only what is known and needed in it.
 *
 *   offering -> preparing -> copying -> holding -> stopping -> handing-over -> committing -> confirming -> ended
 *                              |  ^        |          |             |            |    ^
 *                              v  |        |          |             v            v    |
 *                          reconnecting <--+----------+          aborting <------+----+
 *                                                                   |
 *   every state up to stopping, and aborting -> withdrawing -> ended
 *
 * The guest runs in offering to holding and in reconnecting; it is stopped from stopping on. While it is stopped, only
 * two paths lead back: a release before the relay was told `drained` (stopping), the relay's own decision after that.
 */
import type { ConvergenceMemory } from './convergence.ts';
import type { Downtime, SourceTimes, TargetTook } from './downtime.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { ToSourceOf, ToTarget } from './messages.ts';
import type { LeaseOutcome, PageSpace } from './ports.ts';
import type { MigrationCause, RoundFigures } from './report.ts';

/** How a migration ended, or is to end. */
export type Verdict = { readonly outcome: 'completed' } | Failure;
export interface Failure {
  readonly outcome: 'cancelled' | 'failed';
  readonly cause: MigrationCause;
  /** A sentence a person can read. */
  readonly reason: string;
}

/** What does not change during a migration. */
export interface SenderPlan {
  readonly fingerprint: Fingerprint;
  readonly space: PageSpace;
  readonly offer: ToTarget & { type: 'offer' };
  readonly maxPauseMs: number;
  readonly fixedPauseMs: number;
  readonly verify: boolean;
  /** A dead link can be replaced by another. */
  readonly canReconnect: boolean;
}

/** What was sent so far, cumulative over all links. */
interface SentTotals {
  readonly pages: number;
  readonly bytes: number;
}

/** What every state knows. Times are the source's clock, in milliseconds. */
export interface Trip {
  readonly plan: SenderPlan;
  readonly startedAt: number;
  readonly rounds: readonly RoundFigures[];
  readonly convergence: ConvergenceMemory;
  readonly expectedPauseMs: number;
  /** The part of the expected pause that the distance costs; the allowed pause is on top of it. */
  readonly distanceMs: number;
  /** Round trip between target and relay, as the target measured it; null before that. */
  readonly targetRelayMs: number | null;
  /** When the target was last heard before the guest was stopped; null: not since it was prepared. */
  readonly heardAt: number | null;
  /** The target's longest silence in that time. */
  readonly longestQuietMs: number;
  /** Round trip to the target. */
  readonly linkMs: number;
  /** How long the target took to say `ready`, without the round trip. */
  readonly readyAfterMs: number;
  /** Totals when the current round began. */
  readonly counted: SentTotals;
  readonly reconnects: number;
}

/** A state is left at its deadline at the latest; with null it waits without limit, and says so. */
interface Base<Name extends string> {
  readonly name: Name;
  readonly trip: Trip;
  readonly deadline: number | null;
}
/** The target's message that its CPU runs. */
export interface TargetRuns {
  /** On the source's clock. */
  readonly at: number;
  /** The parts of the target's share of the pause; null: it did not say. */
  readonly took: TargetTook | null;
}

/** The offer is on its way. */
export type Offering = Base<'offering'>;
/** The target builds the VM. */
export type Preparing = Base<'preparing'>;
/** Pre-copy: the dirty log is started, a round is sent, or its dirty pages are collected. */
export interface Copying extends Base<'copying'> {
  /** `readying`: what is left would fit into the pause; rounds go on while the source waits for the target's `ready`. */
  readonly step: 'opening' | 'sending' | 'collecting' | 'readying';
  readonly roundStartedAt: number;
  /** When the last `ready` arrived; null: not yet, or not since the target was asked. There is a deadline only while the source waits for it. */
  readonly readyAt: number | null;
}
/** The link died and the source looks for another; the guest runs (again). */
export interface Reconnecting extends Base<'reconnecting'> {
  readonly link: 'seeking' | 'resuming' | 'ready';
  readonly messagesApplied: number;
  /** False if the link died before anything was sent. */
  readonly dirtyLogStarted: boolean;
  readonly vm: 'running' | 'resuming';
  readonly lease: 'free' | 'releasing';
}
/** The relay was asked to hold the VM's frames; the guest runs and pages are still sent. */
export interface Holding extends Base<'holding'> {
  readonly askedAt: number;
}
/** The CPU is being stopped and the disk drained. The relay has not heard `drained`. */
export interface Stopping extends Base<'stopping'> {
  /** When the CPU was told to stop. */
  readonly askedAt: number;
  /** null: not stopped yet. */
  readonly stoppedAt: number | null;
}
/** The relay is being told `drained`; the last pages and the devices are being sent. Only the relay can give the VM back. */
export interface HandingOver extends Base<'handing-over'> {
  readonly pause: SourceTimes;
  /** The relay has confirmed `drained`. */
  readonly relayDrained: boolean;
}
/** The target has everything and may commit; the relay does the commit once it knows `drained`. */
export interface Committing extends Base<'committing'> {
  readonly pause: SourceTimes;
  readonly relayDrained: boolean;
  readonly targetRuns: TargetRuns | null;
  /** How the migration ends if the relay gives the VM back; null: nothing went wrong so far. */
  readonly failure: Failure | null;
}
/** The relay was asked for the VM; only the relay decides who owns it. */
export interface Aborting extends Base<'aborting'> {
  readonly pause: SourceTimes;
  readonly targetRuns: TargetRuns | null;
  readonly failure: Failure;
}
/** The target lives and the VM is gone from here; the source waits only for the target's own figures. */
export interface Confirming extends Base<'confirming'> {
  readonly pause: SourceTimes;
  /** When the relay said that the target lives: an upper bound for the pause. */
  readonly toldAt: number;
}
/** The VM stays: its CPU is being started again and the hold is being ended. */
export interface Withdrawing extends Base<'withdrawing'> {
  readonly failure: Failure;
  /** When the CPU was told to stop; null: it was not. */
  readonly pausedSince: number | null;
  readonly vm: 'running' | 'resuming';
  readonly lease: 'free' | 'releasing';
  readonly resumedAt: number | null;
}
interface Ended extends Base<'ended'> {
  readonly verdict: Verdict;
}

export type SenderState =
  Offering | Preparing | Copying | Reconnecting | Holding | Stopping | HandingOver | Committing | Aborting | Confirming | Withdrawing | Ended;

/** Asynchronous operations for the runner; the answer is an event that says it is done, or `operation-failed`. */
export type SenderOperation =
  | 'start-dirty-log'
  | 'send-round'
  | 'take-dirty'
  | 'rest'
  | 'hold'
  | 'stop'
  | 'drain-disk'
  | 'send-last'
  | 'tell-drained'
  | 'release'
  | 'abort'
  | 'resume'
  | 'replace-link';

export type SenderEvent = { readonly at: number } & (
  | { readonly type: 'message'; readonly message: ToSourceOf<'accepted' | 'refused' | 'prepared' | 'ready' | 'resumed' | 'unanswered' | 'end'> }
  /** The target said something, whatever it was. */
  | { readonly type: 'heard' }
  | { readonly type: 'target-runs'; readonly runs: TargetRuns }
  /** The link ended or fell silent. */
  | { readonly type: 'link-lost'; readonly failure: Failure }
  /** The other side misbehaved, or something other than an operation failed here. */
  | { readonly type: 'failed'; readonly failure: Failure }
  | { readonly type: 'cancel'; readonly reason: string }
  | { readonly type: 'deadline' }
  | { readonly type: 'operation-failed'; readonly operation: SenderOperation; readonly failure: Failure }
  | { readonly type: 'dirty-log-started' }
  | { readonly type: 'round-sent' }
  /** READY_REST_MS have passed. */
  | { readonly type: 'rested' }
  | {
      readonly type: 'dirty-taken';
      readonly dirtied: number;
      readonly totals: SentTotals;
      readonly bytesLeft: number;
      readonly bytesPerSecond: number | null;
      readonly roundTripMs: number;
    }
  | { readonly type: 'held' }
  | { readonly type: 'stopped' }
  | { readonly type: 'disk-drained' }
  | { readonly type: 'last-sent'; readonly totals: SentTotals; readonly pagesFlowAt: number }
  | { readonly type: 'drained' }
  | { readonly type: 'lease'; readonly outcome: LeaseOutcome }
  | { readonly type: 'abort-answered'; readonly outcome: LeaseOutcome }
  | { readonly type: 'resumed' }
  | { readonly type: 'released' }
  | { readonly type: 'link-replaced' }
);

export type SenderEffect =
  | { readonly type: 'send'; readonly message: ToTarget }
  | { readonly type: 'start'; readonly operation: SenderOperation }
  /** The version both sides speak from now on. */
  | { readonly type: 'agree'; readonly version: number }
  /** All pages that differ from the base are to be sent. */
  | { readonly type: 'mark-everything' }
  /** Pages in messages that the target has not applied (all but the first `messagesApplied` of the dead link) are sent again. */
  | { readonly type: 'mark-unapplied'; readonly messagesApplied: number }
  /** Tells the target that it has everything; with `verify`, also scans and sends the scan's digest. */
  | { readonly type: 'send-switchover'; readonly stoppedAt: number }
  | { readonly type: 'throttle'; readonly cpuFraction: number }
  | { readonly type: 'stop-dirty-log' }
  | { readonly type: 'discard-vm' }
  | { readonly type: 'log'; readonly sentence: string }
  | { readonly type: 'finish'; readonly verdict: Verdict; readonly pauseMs: number; readonly downtime: Downtime | null };

export interface SenderStep {
  readonly state: SenderState;
  readonly effects: readonly SenderEffect[];
}
