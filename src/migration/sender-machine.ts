/**
 * The source's side of a migration as a pure function: state and event in, state and effects out. It neither reads a
 * clock nor touches the VM; sender.ts performs the effects and reports the results. Events that come too late for the
 * state they were meant for change nothing. The ways out of a failure are in sender-failure.ts.
 */
import { assertNever } from '../shared/assert-never.ts';
import { allowedPauseMs, decide, describeDecision, FIRST_MEMORY, MAX_ROUNDS } from './convergence.ts';
import {
  COMMIT_LIMIT_MS,
  HOLD_LIMIT_MS,
  OFFER_LIMIT_MS,
  PATIENCE_FACTOR,
  PREPARE_LIMIT_MS,
  QUIET_FACTOR,
  READY_FRESH_MS,
  READY_FRESH_PAUSES,
  READY_LIMIT_MS,
  READY_SOON_MS,
  SCAN_LIMIT_MS,
  SILENT_SWITCHOVER_MS,
  SLOW_FACTOR,
  STOP_LIMIT_MS,
} from './limits.ts';
import type { SourceTimes } from './downtime.ts';
import { explainMismatch, explainSpaces } from './negotiation.ts';
import {
  cancelled,
  commitUnanswered,
  complete,
  end,
  fail,
  limitPassed,
  linkLost,
  neverReadyInTime,
  notConverging,
  operationFailed,
  relaySays,
  STOP_TRACKING,
  unexpected,
} from './sender-failure.ts';
import type {
  Aborting,
  Committing,
  Confirming,
  Copying,
  HandingOver,
  Holding,
  Offering,
  Preparing,
  Reconnecting,
  SenderEffect,
  SenderEvent,
  SenderPlan,
  SenderState,
  SenderStep,
  Stopping,
  Trip,
  Withdrawing,
} from './sender-states.ts';

type EventOf<T extends SenderEvent['type']> = Extract<SenderEvent, { type: T }>;

/** The first state, and the offer. */
export function beginSending(plan: SenderPlan, at: number): SenderStep {
  const trip: Trip = {
    plan,
    startedAt: at,
    rounds: [],
    convergence: FIRST_MEMORY,
    expectedPauseMs: 0,
    distanceMs: 0,
    targetRelayMs: null,
    heardAt: null,
    longestQuietMs: 0,
    linkMs: 0,
    readyAfterMs: 0,
    counted: { pages: 0, bytes: 0 },
    reconnects: 0,
  };
  return { state: { name: 'offering', trip, deadline: at + OFFER_LIMIT_MS }, effects: [{ type: 'send', message: plan.offer }] };
}

/** What follows from an event. */
export function stepSender(state: SenderState, event: SenderEvent): SenderStep {
  if (state.name === 'ended') return stay(state);
  switch (event.type) {
    case 'cancel':
      return cancelled(state, event);
    case 'link-lost':
      return linkLost(state, event.at, event.failure);
    case 'failed':
      return fail(state, event.at, event.failure, true);
    case 'deadline':
      return state.deadline === null || event.at < state.deadline ? stay(state) : limitPassed(state, event.at);
    case 'operation-failed':
      return operationFailed(state, event);
    case 'lease':
      return relaySays(state, event.at, event.outcome, 'told');
    case 'abort-answered':
      return relaySays(state, event.at, event.outcome, 'answered');
    case 'message':
      return message(state, event);
    default:
      return progress(state, event);
  }
}

function stay(state: SenderState): SenderStep {
  return { state, effects: [] };
}

type Message = EventOf<'message'>;

function message(state: Exclude<SenderState, { name: 'ended' }>, event: Message): SenderStep {
  const said = event.message;
  if (said.type === 'end') {
    return fail(state, event.at, { outcome: said.outcome, cause: said.cause, reason: said.reason }, false);
  }
  if (state.name === 'offering' && said.type === 'accepted') return accepted(state, event.at, said.version);
  if (state.name === 'offering' && said.type === 'refused') {
    return end(state, { outcome: 'failed', cause: said.cause, reason: said.reason });
  }
  if (state.name === 'preparing' && said.type === 'prepared') return prepared(state, event.at, said);
  if (state.name === 'copying' && state.step === 'readying' && state.readyAt === null && said.type === 'ready') {
    const trip: Trip = { ...state.trip, targetRelayMs: said.relayRoundTripMs, readyAfterMs: event.at - readyAskedAt(state) - state.trip.linkMs };
    // The current round may take as long as it needs.
    return stay({ ...state, trip, readyAt: event.at, deadline: null });
  }
  if (said.type === 'unanswered' && (state.name === 'committing' || state.name === 'aborting' || state.name === 'confirming')) {
    return fail(state, event.at, commitUnanswered(), false);
  }
  if (state.name === 'reconnecting' && state.link === 'resuming' && said.type === 'resumed') {
    return reconnected({ ...state, link: 'ready', messagesApplied: said.messages }, event.at);
  }
  return fail(state, event.at, unexpected(said.type, state), true);
}

type Progress = Exclude<SenderEvent, { type: 'cancel' | 'link-lost' | 'failed' | 'deadline' | 'operation-failed' | 'lease' | 'abort-answered' | 'message' }>;

function progress(state: Exclude<SenderState, { name: 'ended' }>, event: Progress): SenderStep {
  if (event.type === 'heard' && (state.name === 'copying' || state.name === 'holding')) return stay({ ...state, trip: heard(state.trip, event.at) });
  switch (state.name) {
    case 'offering':
    case 'preparing':
      return stay(state);
    case 'copying':
      return copying(state, event);
    case 'reconnecting':
      return reconnecting(state, event);
    case 'holding':
      return holding(state, event);
    case 'stopping':
      return stopping(state, event);
    case 'handing-over':
      return event.type === 'heard' ? stay2({ ...state, deadline: switchoverLimit(state, event.at) }) : handingOver(state, event);
    case 'committing':
      // If already committed, the source waits only for the relay.
      if (event.type === 'heard' && state.deadline !== null) return stay2({ ...state, deadline: switchoverLimit(state, event.at) });
      if (event.type === 'drained') return stay2({ ...state, relayDrained: true });
      return event.type === 'target-runs' ? stay2({ ...state, targetRuns: event.runs }) : stay(state);
    case 'aborting':
      return event.type === 'target-runs' ? stay2({ ...state, targetRuns: event.runs }) : stay(state);
    case 'confirming':
      return event.type === 'target-runs' ? complete(state, event.runs) : stay(state);
    case 'withdrawing':
      return withdrawing(state, event);
    default:
      return assertNever(state);
  }
}

function stay2(state: HandingOver | Committing | Aborting | Confirming): SenderStep {
  return { state, effects: [] };
}

function accepted({ trip }: Offering, at: number, version: number): SenderStep {
  return { state: { name: 'preparing', trip, deadline: at + PREPARE_LIMIT_MS }, effects: [{ type: 'agree', version }] };
}

function prepared(state: Preparing, at: number, said: Extract<Message['message'], { type: 'prepared' }>): SenderStep {
  const { trip } = state;
  const mismatch = explainMismatch(trip.plan.fingerprint, said.fingerprint) ?? explainSpaces(trip.plan.space, said.space);
  if (mismatch !== null) return fail(state, at, { outcome: 'failed', cause: 'fingerprint-mismatch', reason: mismatch }, true);
  return { state: { name: 'copying', trip, deadline: null, step: 'opening', roundStartedAt: at, readyAt: null }, effects: [start('start-dirty-log')] };
}

function copying(state: Copying, event: Progress): SenderStep {
  const { trip } = state;
  if (event.type === 'dirty-log-started' && state.step === 'opening') {
    return { state: { ...state, step: 'sending', roundStartedAt: event.at }, effects: [{ type: 'mark-everything' }, start('send-round')] };
  }
  if (event.type === 'round-sent' && state.step === 'sending') {
    return { state: { ...state, step: 'collecting' }, effects: [start('take-dirty')] };
  }
  if (event.type === 'rested' && state.step === 'readying') return { state, effects: [start('send-round')] };
  if (state.step === 'readying' && state.readyAt === null) return { state, effects: isSlow(state, event.at) ? another(event, 'rest') : another(event) };
  if (event.type === 'round-sent' && state.step === 'readying') return { state, effects: [start('take-dirty')] };
  if (event.type === 'dirty-taken' && state.step === 'readying') {
    return decideNext(state, event, withRound(trip, event, event.at - state.roundStartedAt));
  }
  if (event.type === 'dirty-taken' && state.step === 'collecting') {
    return decideNext(state, event, withRound(trip, event, event.at - state.roundStartedAt));
  }
  return stay(state);
}

/**
 * Rounds go on while the source waits for an answer: little is left when it arrives, and the link's congestion window
 * stays open. These rounds count as one.
 */
function another(event: Progress, next: 'send-round' | 'rest' = 'send-round'): SenderEffect[] {
  return event.type === 'round-sent' ? [start('take-dirty')] : event.type === 'dirty-taken' ? [start(next)] : [];
}

/** The wait for the target's `ready` has taken so long that rounds without a rest would only keep the machine from answering. */
function isSlow(state: Copying, at: number): boolean {
  return state.deadline !== null && at > readyAskedAt(state) + READY_SOON_MS;
}

/** When the target was asked whether it can commit; it has not answered yet. */
function readyAskedAt({ deadline }: Copying): number {
  return (deadline ?? READY_LIMIT_MS) - READY_LIMIT_MS;
}

/** Records the target's silences, which show what to expect of it in the switchover. */
function heard(trip: Trip, at: number): Trip {
  return { ...trip, heardAt: at, longestQuietMs: Math.max(trip.longestQuietMs, at - (trip.heardAt ?? at)) };
}

/** How long the target's `ready` stays valid (rule MG36). */
function readyIsFreshFor({ convergence, plan }: Trip): number {
  return Math.max(READY_FRESH_MS, READY_FRESH_PAUSES * allowedPauseMs(convergence, plan.maxPauseMs));
}

/** Adds the round that ended to the figures. */
function withRound(trip: Trip, { totals, dirtied }: { totals: Trip['counted']; dirtied: number }, ms: number): Trip {
  const round = { pages: totals.pages - trip.counted.pages, bytes: totals.bytes - trip.counted.bytes, ms, dirtied };
  return { ...trip, rounds: [...trip.rounds, round], counted: totals };
}

function decideNext(state: Copying, event: EventOf<'dirty-taken'>, measured: Trip): SenderStep {
  const distanceMs = distance(event.roundTripMs, event.roundTripMs, measured.targetRelayMs ?? event.roundTripMs);
  const { decision, memory, expectedPauseMs } = decide(measured.convergence, {
    at: event.at,
    rounds: measured.rounds.length,
    bytesLeft: event.bytesLeft,
    bytesPerSecond: event.bytesPerSecond,
    fixedPauseMs: measured.plan.fixedPauseMs,
    distanceMs,
    maxPauseMs: measured.plan.maxPauseMs,
  });
  const trip: Trip = { ...measured, convergence: memory, expectedPauseMs, distanceMs, linkMs: event.roundTripMs };
  const sentence = describeDecision(decision);
  const said: SenderEffect[] = sentence === null ? [] : [{ type: 'log', sentence }];
  const onward: Copying = { ...state, trip, step: 'sending', deadline: null, roundStartedAt: event.at };
  switch (decision.type) {
    case 'continue':
    case 'relax':
      return { state: onward, effects: [...said, start('send-round')] };
    case 'throttle':
      return { state: onward, effects: [...said, { type: 'throttle', cpuFraction: decision.cpuFraction }, start('send-round')] };
    case 'switch-over':
      if (state.readyAt === null || event.at - state.readyAt > readyIsFreshFor(trip)) {
        if (state.readyAt !== null && trip.rounds.length >= MAX_ROUNDS) return fail(onward, event.at, neverReadyInTime(trip), true);
        return {
          state: { ...onward, step: 'readying', deadline: event.at + READY_LIMIT_MS, readyAt: null },
          effects: [{ type: 'send', message: { type: 'can-commit' } }, start('send-round')],
        };
      }
      return {
        state: { name: 'holding', trip, deadline: event.at + HOLD_LIMIT_MS, askedAt: event.at },
        effects: [start('hold'), start('send-round')],
      };
    case 'give-up':
      return fail(onward, event.at, notConverging(trip), true);
    default:
      return assertNever(decision);
  }
}

function reconnecting(state: Reconnecting, event: Progress): SenderStep {
  switch (event.type) {
    case 'link-replaced':
      if (state.link !== 'seeking') return stay(state);
      return {
        state: { ...state, link: 'resuming' },
        effects: [{ type: 'send', message: { type: 'resume', migrationId: state.trip.plan.offer.migrationId } }],
      };
    case 'resumed':
      return reconnected({ ...state, vm: 'running' }, event.at);
    case 'released':
      return reconnected({ ...state, lease: 'free' }, event.at);
    default:
      return stay(state);
  }
}

/** Continues with rounds once link, VM and lease are back as they were. */
function reconnected(state: Reconnecting, at: number): SenderStep {
  if (state.link !== 'ready' || state.vm !== 'running' || state.lease !== 'free') return stay(state);
  const { trip } = state;
  const copyingState: Copying = { name: 'copying', trip, deadline: null, step: 'sending', roundStartedAt: at, readyAt: null };
  const said: SenderEffect = { type: 'log', sentence: 'Another connection took over; the migration goes on from what the target has.' };
  const marked: SenderEffect = { type: 'mark-unapplied', messagesApplied: state.messagesApplied };
  if (!state.dirtyLogStarted) {
    return { state: { ...copyingState, step: 'opening' }, effects: [said, marked, start('start-dirty-log')] };
  }
  return { state: copyingState, effects: [said, marked, start('send-round')] };
}

/** Sends the known dirty pages while the relay is asked to hold: by the time it holds, less is left for the pause. */
function holding(state: Holding, event: Progress): SenderStep {
  return event.type === 'held' ? held(state, event.at) : { state, effects: another(event) };
}

function held(state: Holding, at: number): SenderStep {
  const { linkMs, targetRelayMs } = state.trip;
  const distanceMs = distance(linkMs, at - state.askedAt, targetRelayMs ?? linkMs);
  const trip: Trip = { ...state.trip, distanceMs, expectedPauseMs: state.trip.expectedPauseMs + distanceMs - state.trip.distanceMs };
  return { state: { name: 'stopping', trip, deadline: at + STOP_LIMIT_MS, askedAt: at, stoppedAt: null }, effects: [start('stop')] };
}

function stopping(state: Stopping, event: Progress): SenderStep {
  if (event.type === 'stopped' && state.stoppedAt === null) {
    return { state: { ...state, stoppedAt: event.at }, effects: [start('drain-disk')] };
  }
  if (event.type === 'disk-drained' && state.stoppedAt !== null) {
    const { trip, askedAt, stoppedAt } = state;
    const pause: SourceTimes = { askedAt, stoppedAt, diskDrainedAt: event.at, pagesFlowAt: null, lastSentAt: null };
    const deadline = switchoverLimit({ trip, pause }, event.at);
    return {
      state: { name: 'handing-over', trip, deadline, pause, relayDrained: false },
      effects: [start('tell-drained'), start('send-last')],
    };
  }
  return stay(state);
}

function handingOver(state: HandingOver, event: Progress): SenderStep {
  if (event.type === 'drained') return stay({ ...state, relayDrained: true });
  if (event.type !== 'last-sent') return stay(state);
  const trip = withRound(state.trip, { totals: event.totals, dirtied: 0 }, event.at - state.pause.stoppedAt);
  const pause: SourceTimes = { ...state.pause, pagesFlowAt: event.pagesFlowAt, lastSentAt: event.at };
  const { relayDrained } = state;
  const deadline = switchoverLimit({ trip, pause }, event.at);
  return {
    state: { name: 'committing', trip, deadline, pause, relayDrained, targetRuns: null, failure: null },
    effects: [{ type: 'send-switchover', stoppedAt: pause.stoppedAt }, ...STOP_TRACKING],
  };
}

/**
 * The deadline while the guest is stopped: some time after the target was last heard, and never later than the limit
 * for a target that is heard all the time (rule MG37). An abort is a compare-and-set, safe at any time.
 */
function switchoverLimit({ trip, pause }: Pick<HandingOver, 'trip' | 'pause'>, heardAt: number): number {
  const { plan, distanceMs, longestQuietMs, readyAfterMs } = trip;
  const ownPartMs = pause.lastSentAt === null ? 0 : pause.lastSentAt - pause.askedAt;
  const busyMs = Math.max(QUIET_FACTOR * longestQuietMs, SLOW_FACTOR * readyAfterMs, SLOW_FACTOR * ownPartMs);
  const patience = Math.max(SILENT_SWITCHOVER_MS, PATIENCE_FACTOR * (plan.maxPauseMs + distanceMs), Math.min(COMMIT_LIMIT_MS, busyMs));
  const longest = Math.max(COMMIT_LIMIT_MS, patience) + (plan.verify ? SCAN_LIMIT_MS : 0);
  return Math.min(heardAt + patience, pause.stoppedAt + longest);
}

/**
 * What the network delay costs while the guest is stopped; all arguments are round trips. `drained` goes to the relay;
 * at the same time the last pages go to the target, and its commit goes from there to the relay; last comes the answer
 * to the commit.
 */
function distance(linkMs: number, sourceRelayMs: number, targetRelayMs: number): number {
  return (Math.max(sourceRelayMs, linkMs + targetRelayMs) + targetRelayMs) / 2;
}

function withdrawing(state: Withdrawing, event: Progress): SenderStep {
  const next: Withdrawing =
    event.type === 'resumed' ? { ...state, vm: 'running', resumedAt: event.at } : event.type === 'released' ? { ...state, lease: 'free' } : state;
  return next.vm === 'running' && next.lease === 'free' ? end(next, next.failure) : stay(next);
}

function start(operation: Extract<SenderEffect, { type: 'start' }>['operation']): SenderEffect {
  return { type: 'start', operation };
}
