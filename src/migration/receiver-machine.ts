/**
 * The target's side of a migration as a pure function: state and event in, state and effects out. It neither reads a
 * clock nor touches the VM; receiver.ts performs the effects and reports the results. Events that come too late for the
 * state they were meant for change nothing.
 */
import { assertNever } from '../shared/assert-never.ts';
import {
  ALIVE_LIMIT_MS,
  COMMIT_ANSWER_LIMIT_MS,
  COMMIT_LIMIT_MS,
  FIRST_MESSAGE_LIMIT_MS,
  NEVER_RAN_LIMIT_MS,
  PATIENCE_FACTOR,
  PREPARE_LIMIT_MS,
  RECONNECT_LIMIT_MS,
  RESTORE_LIMIT_MS,
  SCAN_LIMIT_MS,
  STOPPED_FACTOR,
} from './limits.ts';
import type { TargetTook } from './downtime.ts';
import { CAUSE_SENTENCES } from './migration-error.ts';
import { explainMismatch, explainSpaces } from './negotiation.ts';
import type {
  Interrupted,
  Preparing,
  Proving,
  ReceiverEffect,
  ReceiverEvent,
  ReceiverState,
  ReceiverStep,
  Receiving,
  Restoring,
  Starting,
} from './receiver-states.ts';
import type { MigrationCause } from './report.ts';
import type { Failure } from './sender-states.ts';

/** How long until the relay is told again about the first sign of life. */
const TELL_AGAIN_MS = 1000;

type Live = Exclude<ReceiverState, { name: 'ended' }>;
type EventOf<T extends ReceiverEvent['type']> = Extract<ReceiverEvent, { type: T }>;

/** The first state: the source speaks first. */
export function beginReceiving(canReconnect: boolean, at: number): ReceiverStep {
  return { state: { name: 'awaiting-offer', deadline: at + FIRST_MESSAGE_LIMIT_MS, canReconnect }, effects: [] };
}

/** What follows from an event. */
export function stepReceiver(state: ReceiverState, event: ReceiverEvent): ReceiverStep {
  if (state.name === 'ended') return afterTheEnd(state, event);
  switch (event.type) {
    case 'offer':
    case 'message':
    case 'failed':
    case 'cancel':
      // Once the relay was asked for the commit, neither the link nor the user can change anything.
      return mayHaveCommitted(state) ? stay(state) : said(state, event);
    case 'link-lost':
      return linkLost(state, event);
    case 'link-offered':
      return linkOffered(state, event.at);
    case 'deadline':
      return state.deadline === null || event.at < state.deadline ? stay(state) : limitPassed(state, event.at);
    case 'operation-failed':
      return operationFailed(state, event);
    case 'revoked':
      return state.name === 'starting' || state.name === 'proving' || state.name === 'committing'
        ? fail(state, failed('target-silent', 'The relay gave the VM back to its source, because it had heard no sign of life from here.'))
        : stay(state);
    default:
      return progress(state, event);
  }
}

function stay(state: ReceiverState): ReceiverStep {
  return { state, effects: [] };
}

function mayHaveCommitted(state: Live): boolean {
  return state.name === 'committing' || state.name === 'starting' || state.name === 'proving';
}

/** Results requested before the end may still arrive; they are released. */
function afterTheEnd(state: ReceiverState, event: ReceiverEvent): ReceiverStep {
  switch (event.type) {
    case 'prepared':
      return { state, effects: [{ type: 'discard-vm' }] };
    case 'lease-attached':
      return { state, effects: [{ type: 'dispose-lease' }] };
    case 'link-offered':
      return { state, effects: [{ type: 'refuse-link' }] };
    default:
      return stay(state);
  }
}

function said(state: Live, event: EventOf<'offer' | 'message' | 'failed' | 'cancel'>): ReceiverStep {
  switch (event.type) {
    case 'offer':
      return state.name === 'awaiting-offer' ? offered(event, state.canReconnect) : fail(state, unexpected('offer', state));
    case 'message':
      return message(state, event);
    case 'failed':
      return fail(state, event.failure);
    case 'cancel':
      return fail(state, { outcome: 'cancelled', cause: 'cancelled', reason: event.reason });
    default:
      return assertNever(event);
  }
}

function offered({ at, message: offer, version }: EventOf<'offer'>, canReconnect: boolean): ReceiverStep {
  return {
    state: { name: 'preparing', offer, canReconnect, deadline: at + PREPARE_LIMIT_MS, vm: null, leaseAttached: false },
    effects: [
      { type: 'send', message: { type: 'accepted', version } },
      { type: 'agree', version },
      { type: 'start', operation: 'prepare' },
      { type: 'start', operation: 'attach-lease' },
    ],
  };
}

function message(state: Live, event: EventOf<'message'>): ReceiverStep {
  const heard = event.message;
  switch (heard.type) {
    case 'end':
      return fail(state, { outcome: heard.outcome, cause: heard.cause, reason: heard.reason }, false);
    case 'can-commit':
      return state.name === 'receiving'
        ? { state: { ...state, asked: true }, effects: [{ type: 'start', operation: 'probe' }] }
        : fail(state, unexpected('can-commit', state));
    case 'switchover':
      return state.name === 'receiving' ? switchingOver(state, event.at, heard) : fail(state, unexpected('switchover', state));
    case 'scan':
      if (state.name !== 'restoring' || !state.offer.verify || state.sourceScan !== null) return fail(state, unexpected('scan', state));
      return scansCompared({ ...state, sourceScan: heard.digest }, event.at);
    case 'resume':
      if (state.name !== 'interrupted' || state.link !== 'adopted' || heard.migrationId !== state.offer.migrationId) {
        return fail(state, unexpected('resume', state));
      }
      return {
        state: { name: 'receiving', offer: state.offer, canReconnect: state.canReconnect, deadline: null, asked: false, relayRoundTripMs: null },
        effects: [{ type: 'send-resumed' }],
      };
    default:
      return assertNever(heard);
  }
}

function linkLost(state: Live, { at, failure }: EventOf<'link-lost'>): ReceiverStep {
  switch (state.name) {
    case 'receiving':
      return state.canReconnect ? interrupted(state, at, 'dead', []) : fail(state, failure, false);
    case 'interrupted':
      return { state: { ...state, link: 'dead' }, effects: [] };
    case 'restoring':
      return everythingCame(state) ? stay(state) : fail(state, failure, false);
    case 'committing':
    case 'starting':
    case 'proving':
      return stay(state);
    case 'awaiting-offer':
    case 'preparing':
      return fail(state, failure, false);
    default:
      return assertNever(state);
  }
}

/** True if nothing more has to arrive over the link. */
function everythingCame(state: Restoring): boolean {
  return state.step !== 'gathering' && (!state.offer.verify || state.sourceScan !== null);
}

/** The source gave the old link up, perhaps before we noticed. */
function linkOffered(state: Live, at: number): ReceiverStep {
  if (state.name !== 'receiving' && state.name !== 'interrupted') return { state, effects: [{ type: 'refuse-link' }] };
  return interrupted(state, at, 'adopted', [{ type: 'adopt-link' }]);
}

function interrupted(state: Receiving | Interrupted, at: number, link: Interrupted['link'], effects: readonly ReceiverEffect[]): ReceiverStep {
  const { offer, canReconnect } = state;
  return { state: { name: 'interrupted', offer, canReconnect, deadline: at + RECONNECT_LIMIT_MS, link }, effects };
}

type Progress = EventOf<'prepared' | 'lease-attached' | 'probed' | 'gathered' | 'restored' | 'scanned' | 'committed' | 'runs' | 'alive' | 'alive-noted'>;

function progress(state: Live, event: Progress): ReceiverStep {
  switch (state.name) {
    case 'preparing':
      return preparing(state, event);
    case 'restoring':
      return restoring(state, event);
    case 'committing':
      if (event.type !== 'committed') return stay(state);
      return {
        state: {
          name: 'starting',
          offer: state.offer,
          canReconnect: false,
          deadline: event.at + ALIVE_LIMIT_MS,
          epoch: event.epoch,
          failure: null,
          committedAt: event.at,
          took: { ...state.took, commit: event.at - state.askedAt },
        },
        effects: [{ type: 'run', stoppedAt: state.stoppedAt }],
      };
    case 'starting': {
      if (event.type !== 'runs') return stay(state);
      const { offer, epoch, deadline } = state;
      const took: TargetTook = { ...state.took, run: event.at - state.committedAt };
      return {
        state: { name: 'proving', offer, canReconnect: false, deadline, epoch, step: 'executing' },
        effects: [
          { type: 'send', message: { type: 'running', epoch, at: event.at, verified: offer.verify ? true : null, took } },
          { type: 'start', operation: 'await-alive' },
        ],
      };
    }
    case 'proving':
      return proving(state, event);
    case 'receiving':
      if (event.type !== 'probed' || !state.asked) return stay(state);
      return {
        state: { ...state, asked: false, relayRoundTripMs: event.roundTripMs },
        effects: [{ type: 'send', message: { type: 'ready', relayRoundTripMs: event.roundTripMs } }],
      };
    case 'awaiting-offer':
    case 'interrupted':
      return stay(state);
    default:
      return assertNever(state);
  }
}

function preparing(state: Preparing, event: Progress): ReceiverStep {
  const { offer, canReconnect } = state;
  const next: Preparing =
    event.type === 'prepared'
      ? { ...state, vm: { fingerprint: event.fingerprint, space: event.space } }
      : event.type === 'lease-attached'
        ? { ...state, leaseAttached: true }
        : state;
  if (event.type === 'prepared') {
    const mismatch = explainMismatch(offer.fingerprint, event.fingerprint) ?? explainSpaces(offer.space, event.space);
    if (mismatch !== null) return fail(next, failed('fingerprint-mismatch', mismatch));
  }
  if (next.vm === null || !next.leaseAttached) return stay(next);
  return {
    state: { name: 'receiving', offer, canReconnect, deadline: null, asked: false, relayRoundTripMs: null },
    effects: [{ type: 'send', message: { type: 'prepared', ...next.vm } }],
  };
}

function switchingOver({ offer, canReconnect, relayRoundTripMs }: Receiving, at: number, switchover: Restoring['switchover']): ReceiverStep {
  const limit = RESTORE_LIMIT_MS + (offer.verify ? SCAN_LIMIT_MS : 0);
  return {
    state: {
      name: 'restoring',
      offer,
      canReconnect,
      deadline: at + limit,
      step: 'gathering',
      switchover,
      relayRoundTripMs,
      gatheredAt: null,
      restoredAt: null,
      sourceScan: null,
      targetScan: null,
    },
    effects: [{ type: 'gather', bulkMessages: switchover.bulkMessages, deviceBytes: switchover.deviceBytes }],
  };
}

function restoring(state: Restoring, event: Progress): ReceiverStep {
  if (event.type === 'gathered' && state.step === 'gathering') {
    if (event.digest !== state.switchover.digest) return fail(state, failed('digest-mismatch', CAUSE_SENTENCES['digest-mismatch']));
    return { state: { ...state, step: 'devices', gatheredAt: event.at }, effects: [{ type: 'start', operation: 'restore' }] };
  }
  if (event.type === 'restored' && state.step === 'devices') {
    const next: Restoring = { ...state, restoredAt: event.at };
    if (!state.offer.verify) return commit(next, event.at);
    return { state: { ...next, step: 'scanning' }, effects: [{ type: 'start', operation: 'scan' }] };
  }
  if (event.type === 'scanned' && state.step === 'scanning') return scansCompared({ ...state, targetScan: event.digest }, event.at);
  return stay(state);
}

function scansCompared(state: Restoring, at: number): ReceiverStep {
  const { sourceScan, targetScan } = state;
  if (sourceScan === null || targetScan === null) return stay(state);
  if (sourceScan !== targetScan) {
    return fail(state, failed('digest-mismatch', 'The check of all memory found a difference between source and target. Try again.'));
  }
  return commit(state, at);
}

function commit({ offer, switchover, relayRoundTripMs, gatheredAt, restoredAt }: Restoring, at: number): ReceiverStep {
  const took = { restore: (restoredAt ?? at) - (gatheredAt ?? at), verify: at - (restoredAt ?? at) };
  const busyMs = STOPPED_FACTOR * (at - switchover.stoppedAt);
  const patience = Math.max(COMMIT_ANSWER_LIMIT_MS, PATIENCE_FACTOR * (relayRoundTripMs ?? 0), Math.min(COMMIT_LIMIT_MS, busyMs));
  return {
    state: {
      name: 'committing',
      offer,
      canReconnect: false,
      deadline: at + patience,
      stoppedAt: switchover.stoppedAt,
      toldUnanswered: false,
      askedAt: at,
      took,
    },
    effects: [{ type: 'start', operation: 'commit' }],
  };
}

function proving(state: Proving, event: Progress): ReceiverStep {
  if (event.type === 'alive' && state.step === 'executing') {
    return { state: { ...state, step: 'telling', deadline: null }, effects: [{ type: 'start', operation: 'tell-alive' }] };
  }
  if (event.type === 'alive-noted' && state.step === 'telling') {
    const verdict = { outcome: 'completed', epoch: state.epoch } as const;
    return { state: { name: 'ended', deadline: null, verdict }, effects: [{ type: 'finish', verdict }] };
  }
  return stay(state);
}

/** The VM does not arrive, or does not stay. `tell`: the source does not know that yet. */
function fail(state: Live, failure: Failure, tell = true): ReceiverStep {
  const { outcome, cause, reason } = failure;
  const effects: ReceiverEffect[] = [];
  if (tell)
    effects.push({ type: 'send', message: state.name === 'awaiting-offer' ? { type: 'refused', cause, reason } : { type: 'end', outcome, cause, reason } });
  if (state.name !== 'awaiting-offer') effects.push({ type: 'discard-vm' }, { type: 'dispose-lease' });
  return { state: { name: 'ended', deadline: null, verdict: failure }, effects: [...effects, { type: 'finish', verdict: failure }] };
}

/** A state has passed its time limit. */
function limitPassed(state: Live, at: number): ReceiverStep {
  if (state.name === 'committing' && !state.toldUnanswered) {
    // The relay decides between the source, which asks for its VM now, and the commit, whose answer may only be late.
    return {
      state: { ...state, toldUnanswered: true, deadline: at + NEVER_RAN_LIMIT_MS },
      effects: [{ type: 'send', message: { type: 'unanswered' } }],
    };
  }
  if (state.name === 'proving') {
    // The CPU was started. If the relay has already given the VM back, it refuses, and the VM is discarded.
    return { state: { ...state, step: 'telling', deadline: null }, effects: [{ type: 'start', operation: 'tell-alive' }] };
  }
  if (state.name === 'starting') {
    // The world has seen nothing of the VM, and a source that comes back gets its VM from the relay without a message from here.
    return state.failure === null ? onlyTheRelayEndsIt(state, CAUSE_SENTENCES['target-silent'], null) : fail(state, state.failure);
  }
  return fail(state, failureOfLimit(state));
}

/** An operation on VM, lease or link has failed. */
function operationFailed(state: Live, { at, operation, failure }: EventOf<'operation-failed'>): ReceiverStep {
  switch (operation) {
    case 'run':
      return state.name === 'starting' ? onlyTheRelayEndsIt({ ...state, failure }, failure.reason, at + NEVER_RAN_LIMIT_MS) : stay(state);
    case 'await-alive':
      return { state, effects: [{ type: 'log', sentence: failure.reason }] };
    case 'tell-alive':
      if (state.name !== 'proving') return stay(state);
      return failure.cause === 'commit-refused' ? fail(state, failure) : { state: { ...state, deadline: at + TELL_AGAIN_MS }, effects: [] };
    case 'commit':
      return state.name === 'committing' ? fail(state, failure) : stay(state);
    default:
      return mayHaveCommitted(state) ? stay(state) : fail(state, failure);
  }
}

/**
 * After the commit the VM is here, even if it does not run properly. Only the relay knows whether the world has seen
 * something of it; if not, the relay gives it back.
 */
function onlyTheRelayEndsIt(state: Starting, reason: string, deadline: number | null): ReceiverStep {
  return {
    state: { ...state, deadline },
    effects: [{ type: 'log', sentence: `${reason} If the relay has heard nothing of the VM either, it gives it back to the source.` }],
  };
}

function failureOfLimit(state: Exclude<Live, Starting | Proving>): Failure {
  switch (state.name) {
    case 'awaiting-offer':
      return failed('link-silent', 'The source opened a connection and offered nothing.');
    case 'preparing':
      return failed('prepare-failed', state.vm === null ? 'The VM could not be built in time.' : 'The relay did not give the VM a port in time.');
    case 'interrupted':
      return failed('link-failed', 'The connection to the source broke, and no other took its place in time.');
    case 'restoring':
      return failed(
        'restore-failed',
        state.step === 'gathering' ? 'The last pages did not arrive in time.' : "The VM's devices could not be restored in time.",
      );
    case 'committing':
      return failed('relay-lost', "The relay's answer whether the VM may run here did not come in time.");
    case 'receiving':
      return failed('link-silent', CAUSE_SENTENCES['link-silent']);
    default:
      return assertNever(state);
  }
}

function unexpected(type: string, state: Live): Failure {
  return failed('bad-message', `The source sent '${type}' at a time when it cannot be right (${state.name}). Reload both tabs and try again.`);
}

function failed(cause: MigrationCause, reason: string): Failure {
  return { outcome: 'failed', cause, reason };
}
