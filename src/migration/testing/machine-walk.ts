/** Random walks through the two state machines: any events in any order, well-formed but otherwise unbound. */
import type { LeaseEpoch } from '../../shared/ids.ts';
import type { OfferMessage } from '../messages.ts';
import type { LeaseOutcome } from '../ports.ts';
import type { ReceiverEvent } from '../receiver-states.ts';
import type { Failure, SenderEvent, SenderOperation, SenderPlan } from '../sender-states.ts';
import { MODEL_FINGERPRINT, MODEL_SPACE } from './model-vm.ts';
import type { SeededRandom } from './seeded-random.ts';

export const OFFER: OfferMessage = {
  type: 'offer',
  versions: { oldest: 1, newest: 1 },
  migrationId: 'm-1',
  vmId: 'vm-1',
  from: 'a',
  to: 'b',
  memoryBytes: MODEL_FINGERPRINT.memoryBytes,
  fingerprint: MODEL_FINGERPRINT,
  space: MODEL_SPACE,
  verify: false,
  extra: null,
};

export const PLAN: SenderPlan = {
  fingerprint: MODEL_FINGERPRINT,
  space: MODEL_SPACE,
  offer: OFFER,
  maxPauseMs: 100,
  fixedPauseMs: 30,
  verify: false,
  canReconnect: true,
};

const FAILURE: Failure = { outcome: 'failed', cause: 'internal', reason: 'It did not work.' };
const OPERATIONS: readonly SenderOperation[] = [
  'start-dirty-log',
  'send-round',
  'take-dirty',
  'rest',
  'hold',
  'stop',
  'drain-disk',
  'send-last',
  'tell-drained',
  'release',
  'abort',
  'resume',
  'replace-link',
];

/** A random event for the source. */
export function randomSenderEvent(random: SeededRandom, at: number): SenderEvent {
  const owner = random.pick(['source', 'target'] as const);
  const outcome: LeaseOutcome = random.chance(0.05)
    ? { owner: 'nobody', reason: 'The relay knows no such VM.' }
    : { owner, epoch: (owner === 'target' ? 2 : random.pick([1, 3])) as LeaseEpoch };
  return random.pick<() => SenderEvent>([
    () => ({ type: 'message', at, message: { type: 'accepted', version: 1 } }),
    () => ({ type: 'message', at, message: { type: 'refused', cause: 'target-refused', reason: 'No.' } }),
    () => ({ type: 'message', at, message: { type: 'prepared', fingerprint: MODEL_FINGERPRINT, space: MODEL_SPACE } }),
    () => ({ type: 'message', at, message: { type: 'ready', relayRoundTripMs: 3 } }),
    () => ({ type: 'heard', at }),
    () => ({ type: 'message', at, message: { type: 'resumed', messages: random.below(5) } }),
    () => ({ type: 'message', at, message: { type: 'end', outcome: 'failed', cause: 'restore-failed', reason: 'It did not fit.' } }),
    () => ({ type: 'target-runs', at, runs: { at: at - 1, took: { restore: 3, verify: 0, commit: 4, run: 1 } } }),
    () => ({ type: 'link-lost', at, failure: { ...FAILURE, cause: 'link-failed' } }),
    () => ({ type: 'failed', at, failure: FAILURE }),
    () => ({ type: 'cancel', at, reason: 'Enough.' }),
    () => ({ type: 'deadline', at: at + 1e6 }),
    () => ({ type: 'operation-failed', at, operation: random.pick(OPERATIONS), failure: FAILURE }),
    () => ({ type: 'dirty-log-started', at }),
    () => ({ type: 'round-sent', at }),
    () => ({ type: 'dirty-taken', at, dirtied: 3, totals: { pages: 10, bytes: 1000 }, bytesLeft: random.below(2) * 1e9, bytesPerSecond: 1e7, roundTripMs: 1 }),
    () => ({ type: 'held', at }),
    () => ({ type: 'stopped', at }),
    () => ({ type: 'disk-drained', at }),
    () => ({ type: 'last-sent', at, totals: { pages: 12, bytes: 1200 }, pagesFlowAt: at }),
    () => ({ type: 'drained', at }),
    () => ({ type: 'lease', at, outcome }),
    () => ({ type: 'abort-answered', at, outcome }),
    () => ({ type: 'resumed', at }),
    () => ({ type: 'released', at }),
    () => ({ type: 'link-replaced', at }),
  ])();
}

/** A random event for the target. */
export function randomReceiverEvent(random: SeededRandom, at: number): ReceiverEvent {
  const digest = random.pick(['0'.repeat(16), '1'.repeat(16)]);
  return random.pick<() => ReceiverEvent>([
    () => ({ type: 'offer', at, message: { ...OFFER, verify: random.chance(0.5) }, version: 1 }),
    () => ({ type: 'message', at, message: { type: 'can-commit' } }),
    () => ({ type: 'message', at, message: { type: 'switchover', bulkMessages: 3, deviceBytes: 5, digest: '0'.repeat(16), stoppedAt: at } }),
    () => ({ type: 'message', at, message: { type: 'scan', digest: '0'.repeat(16) } }),
    () => ({ type: 'message', at, message: { type: 'resume', migrationId: 'm-1' } }),
    () => ({ type: 'message', at, message: { type: 'end', outcome: 'cancelled', cause: 'cancelled', reason: 'Enough.' } }),
    () => ({ type: 'link-lost', at, failure: { ...FAILURE, cause: 'link-failed' } }),
    () => ({ type: 'failed', at, failure: FAILURE }),
    () => ({ type: 'cancel', at, reason: 'Enough.' }),
    () => ({ type: 'deadline', at: at + 1e6 }),
    () => ({
      type: 'operation-failed',
      at,
      operation: random.pick(['prepare', 'attach-lease', 'probe', 'gather', 'restore', 'scan', 'commit', 'run', 'await-alive', 'tell-alive'] as const),
      failure: FAILURE,
    }),
    () => ({ type: 'link-offered', at }),
    () => ({ type: 'prepared', at, fingerprint: MODEL_FINGERPRINT, space: MODEL_SPACE }),
    () => ({ type: 'lease-attached', at }),
    () => ({ type: 'probed', at, roundTripMs: 3 }),
    () => ({ type: 'gathered', at, digest }),
    () => ({ type: 'restored', at }),
    () => ({ type: 'scanned', at, digest }),
    () => ({ type: 'committed', at, epoch: 2 as LeaseEpoch }),
    () => ({ type: 'runs', at }),
    () => ({ type: 'alive', at }),
    () => ({ type: 'alive-noted', at }),
    () => ({ type: 'revoked', at }),
  ])();
}
