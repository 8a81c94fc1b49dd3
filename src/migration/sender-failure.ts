/**
 * How the source leaves a migration that cannot continue: for every state, what must be undone and who may decide that
 * the VM belongs to the source (rules MG24-MG33). Pure, like sender-machine.ts.
 */
import { assertNever } from '../shared/assert-never.ts';
import { CONFIRM_LIMIT_MS, MAX_RECONNECTS, RECONNECT_LIMIT_MS, WITHDRAW_LIMIT_MS } from './limits.ts';
import { downtimeOf, totalOf } from './downtime.ts';
import { CAUSE_SENTENCES } from './migration-error.ts';
import type { LeaseOutcome } from './ports.ts';
import type { MigrationCause } from './report.ts';
import type {
  Aborting,
  Committing,
  Confirming,
  Copying,
  Failure,
  HandingOver,
  Holding,
  Reconnecting,
  SenderEffect,
  SenderEvent,
  SenderState,
  SenderStep,
  Stopping,
  TargetRuns,
  Trip,
  Verdict,
  Withdrawing,
} from './sender-states.ts';

type Live = Exclude<SenderState, { name: 'ended' }>;

/** Ends the tracking. Performed once, no matter how the tracked states are left. */
export const STOP_TRACKING: readonly SenderEffect[] = [{ type: 'stop-dirty-log' }, { type: 'throttle', cpuFraction: 1 }];
/** How long until the relay is asked again if it could not be asked. */
const ASK_AGAIN_MS = 1000;

/**
 * The migration cannot continue. `tell`: the target does not know that yet. In states in which a commit may be on its
 * way, the relay is asked for the VM; in later states nothing changes.
 */
export function fail(state: Live, at: number, failure: Failure, tell: boolean): SenderStep {
  const told: SenderEffect[] = tell ? [tellTarget(failure)] : [];
  switch (state.name) {
    case 'offering':
    case 'preparing':
      return end(state, failure, told);
    case 'copying':
      return end(state, failure, [...STOP_TRACKING, ...told]);
    case 'reconnecting':
      return withdraw(state, at, failure, STOP_TRACKING, null);
    case 'holding':
      return withdraw({ ...state, vm: 'running', lease: 'releasing' }, at, failure, [start('release'), ...STOP_TRACKING, ...told], null);
    case 'stopping':
      return withdraw(
        { ...state, vm: 'resuming', lease: 'releasing' },
        at,
        failure,
        [start('resume'), start('release'), ...STOP_TRACKING, ...told],
        state.askedAt,
      );
    case 'handing-over':
      return askForVm(state, failure, null, [...STOP_TRACKING, ...told]);
    case 'committing':
      if (state.targetRuns !== null) return { state, effects: [] };
      return askForVm(state, failure, null, told);
    case 'confirming':
      return { state, effects: [] };
    case 'aborting':
    case 'withdrawing':
      return { state, effects: [] };
    default:
      return assertNever(state);
  }
}

/** The user cancels. After the commit this is too late, and the state does not change. */
export function cancelled(state: Live, event: Extract<SenderEvent, { type: 'cancel' }>): SenderStep {
  return fail(state, event.at, { outcome: 'cancelled', cause: 'cancelled', reason: event.reason }, true);
}

/** The link ended. It is replaced if nothing is at stake and a replacement is possible; otherwise the migration fails. */
export function linkLost(state: Live, at: number, failure: Failure): SenderStep {
  switch (state.name) {
    case 'copying':
      return reconnect(state, at, failure, { dirtyLogStarted: state.step !== 'opening', vm: 'running', lease: 'free' }, []);
    case 'holding':
      return reconnect(state, at, failure, { dirtyLogStarted: true, vm: 'running', lease: 'releasing' }, [start('release')]);
    case 'stopping':
      return reconnect(state, at, failure, { dirtyLogStarted: true, vm: 'resuming', lease: 'releasing' }, [start('resume'), start('release')]);
    case 'reconnecting':
      if (state.link === 'seeking') return { state, effects: [] };
      return reconnect(state, at, failure, state, []);
    case 'confirming':
      return complete(state, null);
    default:
      return fail(state, at, failure, false);
  }
}

function reconnect(
  state: Copying | Holding | Stopping | Reconnecting,
  at: number,
  failure: Failure,
  kept: Pick<Reconnecting, 'dirtyLogStarted' | 'vm' | 'lease'>,
  undo: readonly SenderEffect[],
): SenderStep {
  const { trip } = state;
  if (!trip.plan.canReconnect || trip.reconnects >= MAX_RECONNECTS) return fail(state, at, failure, false);
  const { dirtyLogStarted, vm, lease } = kept;
  return {
    state: {
      name: 'reconnecting',
      trip: { ...trip, reconnects: trip.reconnects + 1 },
      deadline: at + RECONNECT_LIMIT_MS,
      link: 'seeking',
      messagesApplied: 0,
      dirtyLogStarted,
      vm,
      lease,
    },
    effects: [{ type: 'log', sentence: `${failure.reason} Another connection is tried.` }, start('replace-link'), ...undo],
  };
}

/** A state has passed its time limit. */
export function limitPassed(state: Live, at: number): SenderStep {
  switch (state.name) {
    case 'offering':
      return fail(state, at, failed('link-silent', 'The target did not answer the offer. Bring its tab to the front, or choose another host.'), true);
    case 'preparing':
      return fail(state, at, failed('prepare-failed', 'The target did not get ready in time. Its console says what it waits for.'), true);
    case 'copying':
      // Only the wait for the target's `ready` has a limit.
      return fail(
        state,
        at,
        failed('relay-lost', 'The target could not reach the relay, and so could not have taken the VM over. It was not stopped for it.'),
        true,
      );
    case 'reconnecting':
      return fail(state, at, failed('link-failed', 'The connection between the two hosts broke, and no other could be opened in time.'), false);
    case 'holding':
      return fail(state, at, failed('hold-failed', CAUSE_SENTENCES['hold-failed']), true);
    case 'stopping':
      return fail(
        state,
        at,
        state.stoppedAt === null
          ? failed('internal', "The VM's processor did not stop in time.")
          : failed('disk-drain-failed', CAUSE_SENTENCES['disk-drain-failed']),
        true,
      );
    case 'handing-over':
      return fail(state, at, failed('link-failed', 'The last pages could not be sent in time.'), true);
    case 'committing':
      return askForVm(state, state.failure ?? notTakenOver(state), state.targetRuns, []);
    case 'aborting':
      return { state: { ...state, deadline: null }, effects: [start('abort')] };
    case 'confirming':
      return complete(state, null);
    case 'withdrawing':
      return end(state, state.failure, [
        {
          type: 'log',
          sentence: state.vm === 'resuming' ? 'The VM has not started again yet.' : 'The relay has not ended its hold yet; it does so by itself.',
        },
      ]);
    default:
      return assertNever(state);
  }
}

/** An operation on VM, lease or link has failed. */
export function operationFailed(state: Live, event: Extract<SenderEvent, { type: 'operation-failed' }>): SenderStep {
  const { at, failure } = event;
  switch (event.operation) {
    case 'release':
      return releaseFailed(state, at, failure);
    case 'abort':
      return state.name === 'aborting' ? { state: { ...state, deadline: at + ASK_AGAIN_MS }, effects: [] } : { state, effects: [] };
    case 'resume':
      return state.name === 'withdrawing'
        ? end(state, { ...state.failure, reason: `${state.failure.reason} Then the VM could not be started again: ${failure.reason}` })
        : fail(state, at, failure, true);
    case 'replace-link':
      return state.name === 'reconnecting' && state.link === 'seeking' ? fail(state, at, failure, false) : { state, effects: [] };
    case 'hold':
      return state.name === 'holding' ? fail(state, at, failure, true) : { state, effects: [] };
    case 'start-dirty-log':
    case 'send-round':
    case 'take-dirty':
    case 'rest':
      return state.name === 'copying' || state.name === 'holding' ? fail(state, at, failure, true) : { state, effects: [] };
    case 'stop':
    case 'drain-disk':
      return state.name === 'stopping' ? fail(state, at, failure, true) : { state, effects: [] };
    case 'tell-drained':
      return state.name === 'handing-over' || state.name === 'committing' ? fail(state, at, failure, true) : { state, effects: [] };
    case 'send-last':
      return state.name === 'handing-over' ? fail(state, at, failure, true) : { state, effects: [] };
    default:
      return assertNever(event.operation);
  }
}

/** If a release fails, the relay ends the hold by its own limits; the VM runs in any case. */
function releaseFailed(state: Live, at: number, failure: Failure): SenderStep {
  const said: SenderEffect = { type: 'log', sentence: `The relay did not confirm the end of its hold: ${failure.reason}` };
  if (state.name === 'reconnecting') return fail({ ...state, lease: 'free' }, at, failure, false);
  if (state.name !== 'withdrawing' || state.lease === 'free') return { state, effects: [] };
  const next: Withdrawing = { ...state, lease: 'free' };
  return next.vm === 'running' ? end(next, next.failure, [said]) : { state: next, effects: [said] };
}

/** The relay says who owns the VM, as an answer (`answered`) or unasked (`told`: the target lives, the VM was given back, or it is gone). */
export function relaySays(state: Live, at: number, outcome: LeaseOutcome, how: 'told' | 'answered'): SenderStep {
  if (state.name !== 'committing' && state.name !== 'aborting') return { state, effects: [] };
  if (outcome.owner === 'source') {
    const failure = state.failure ?? failed('target-silent', CAUSE_SENTENCES['target-silent']);
    return withdraw({ ...state, vm: 'resuming', lease: 'free' }, at, failure, [start('resume')], state.pause.askedAt);
  }
  // Once the target has run the VM, the migration is complete, whatever happened to the VM afterwards.
  if (outcome.owner === 'nobody' && state.targetRuns === null) {
    return end(state, failed('vm-ended', `The move did not end in time: this host was cut off meanwhile. ${outcome.reason}`), [{ type: 'discard-vm' }]);
  }
  if (how === 'answered' && outcome.owner === 'target') {
    // Committed, but not yet known to be alive: the frozen copy is kept until the relay says how that ends.
    const { trip, pause, targetRuns, failure } = state;
    return {
      state: { name: 'committing', trip, deadline: null, pause, relayDrained: true, targetRuns, failure },
      effects: [{ type: 'log', sentence: 'The target has taken the VM over; its first sign of life is awaited.' }],
    };
  }
  const { trip, pause } = state;
  const confirming: Confirming = { name: 'confirming', trip, deadline: at + CONFIRM_LIMIT_MS, pause, toldAt: at };
  const discard: SenderEffect = { type: 'discard-vm' };
  if (state.targetRuns === null) return { state: confirming, effects: [discard] };
  const step = complete(confirming, state.targetRuns);
  return { state: step.state, effects: [discard, ...step.effects] };
}

/** Ends a migration that succeeded. */
export function complete({ trip, pause, toldAt }: Confirming, runs: TargetRuns | null): SenderStep {
  const downtime = runs === null ? null : downtimeOf(pause, runs.took, runs.at);
  const pauseMs = downtime === null ? Math.max(0, (runs?.at ?? toldAt) - pause.askedAt) : totalOf(downtime);
  const verdict: Verdict = { outcome: 'completed' };
  return { state: { name: 'ended', trip, deadline: null, verdict }, effects: [{ type: 'finish', verdict, pauseMs, downtime }] };
}

/** Ends a migration that did not succeed. */
export function end(state: Live, failure: Failure, effects: readonly SenderEffect[] = []): SenderStep {
  const pauseMs = state.name === 'withdrawing' && state.pausedSince !== null && state.resumedAt !== null ? state.resumedAt - state.pausedSince : 0;
  return {
    state: { name: 'ended', trip: state.trip, deadline: null, verdict: failure },
    effects: [...effects, { type: 'finish', verdict: failure, pauseMs, downtime: null }],
  };
}

function notTakenOver({ relayDrained }: Committing): Failure {
  return relayDrained ? failed('target-silent', 'The target did not take the VM over in time.') : failed('relay-lost', CAUSE_SENTENCES['relay-lost']);
}

export function commitUnanswered(): Failure {
  return failed('relay-lost', 'The relay did not answer the target in time, so the VM was asked for again.');
}

export function notConverging(trip: Trip): Failure {
  return failed(
    'not-converging',
    `${CAUSE_SENTENCES['not-converging']} After ${trip.rounds.length} rounds a pause of ${Math.round(trip.expectedPauseMs)} ms was still to be expected; ${trip.plan.maxPauseMs} ms are allowed, and ${Math.round(trip.distanceMs)} ms for the distance.`,
  );
}

export function neverReadyInTime(trip: Trip): Failure {
  return failed(
    'not-converging',
    `Each time that the target had proved its way to the relay, the next round took too long to rely on it. This was given up after ${trip.rounds.length} rounds; the VM was not stopped for it.`,
  );
}

export function unexpected(type: string, state: Live): Failure {
  return failed('bad-message', `The target sent '${type}' at a time when it cannot be right (${state.name}). Reload both tabs and try again.`);
}

function withdraw(
  state: { readonly trip: Trip; readonly vm: Withdrawing['vm']; readonly lease: Withdrawing['lease'] },
  at: number,
  failure: Failure,
  effects: readonly SenderEffect[],
  pausedSince: number | null,
): SenderStep {
  const withdrawing: Withdrawing = {
    name: 'withdrawing',
    trip: state.trip,
    deadline: at + WITHDRAW_LIMIT_MS,
    failure,
    pausedSince,
    vm: state.vm,
    lease: state.lease,
    resumedAt: null,
  };
  return withdrawing.vm === 'running' && withdrawing.lease === 'free' ? end(withdrawing, failure, effects) : { state: withdrawing, effects };
}

/** From here on only the relay can give the VM back. */
function askForVm(
  { trip, pause }: HandingOver | Committing,
  failure: Failure,
  targetRuns: Aborting['targetRuns'],
  effects: readonly SenderEffect[],
): SenderStep {
  const aborting: Aborting = { name: 'aborting', trip, deadline: null, pause, targetRuns, failure };
  return { state: aborting, effects: [start('abort'), ...effects] };
}

function tellTarget({ outcome, cause, reason }: Failure): SenderEffect {
  return { type: 'send', message: { type: 'end', outcome, cause, reason } };
}

function failed(cause: MigrationCause, reason: string): Failure {
  return { outcome: 'failed', cause, reason };
}

function start(operation: Extract<SenderEffect, { type: 'start' }>['operation']): SenderEffect {
  return { type: 'start', operation };
}
