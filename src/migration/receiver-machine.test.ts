import { describe, expect, it } from 'vitest';
import { FULL } from '../shared/testing/full.ts';
import type { LeaseEpoch } from '../shared/ids.ts';
import { beginReceiving, stepReceiver } from './receiver-machine.ts';
import type { ReceiverEffect, ReceiverEvent, ReceiverState, ReceiverStep } from './receiver-states.ts';
import { OFFER, randomReceiverEvent } from './testing/machine-walk.ts';
import { MODEL_FINGERPRINT, MODEL_SPACE } from './testing/model-vm.ts';
import { SeededRandom } from './testing/seeded-random.ts';

const at = 1000;
const DIGEST = '0'.repeat(16);

function path(verify: boolean): readonly ReceiverEvent[] {
  return [
    { type: 'offer', at, message: { ...OFFER, verify }, version: 1 },
    { type: 'prepared', at, fingerprint: MODEL_FINGERPRINT, space: MODEL_SPACE },
    { type: 'lease-attached', at },
    { type: 'message', at, message: { type: 'switchover', bulkMessages: 3, deviceBytes: 5, digest: DIGEST, stoppedAt: 990 } },
    { type: 'gathered', at, digest: DIGEST },
    { type: 'restored', at },
    ...(verify ? [{ type: 'scanned', at, digest: DIGEST } as const, { type: 'message', at, message: { type: 'scan', digest: DIGEST } } as const] : []),
    { type: 'committed', at, epoch: 2 as LeaseEpoch },
    { type: 'runs', at },
    { type: 'alive', at },
    { type: 'alive-noted', at },
  ];
}

function reach(name: ReceiverState['name'], verify = false): ReceiverState {
  let { state } = beginReceiving(true, at);
  for (const event of path(verify)) {
    if (state.name === name) return state;
    ({ state } = stepReceiver(state, event));
  }
  if (state.name !== name) throw new Error(`The ordinary path does not lead to ${name}`);
  return state;
}

function play(state: ReceiverState, ...events: ReceiverEvent[]): ReceiverStep {
  const effects: ReceiverEffect[] = [];
  for (const event of events) {
    const step = stepReceiver(state, event);
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects };
}

const started = (effects: readonly ReceiverEffect[]): string[] => effects.flatMap((effect) => (effect.type === 'start' ? [effect.operation] : []));
const types = (effects: readonly ReceiverEffect[]): string[] => effects.map((effect) => effect.type);

const FAILURE = { outcome: 'failed', cause: 'link-failed', reason: 'It broke.' } as const;
const LINK_LOST: ReceiverEvent = { type: 'link-lost', at, failure: FAILURE };
const CANCEL: ReceiverEvent = { type: 'cancel', at, reason: 'Enough.' };

describe("The target's state machine", () => {
  it('says that it is prepared once the VM is built and its port attached, in whatever order (MG10)', () => {
    const preparing = reach('preparing');
    const events: ReceiverEvent[] = [
      { type: 'prepared', at, fingerprint: MODEL_FINGERPRINT, space: MODEL_SPACE },
      { type: 'lease-attached', at },
    ];
    for (const order of [events, events.toReversed()]) {
      const step = play(preparing, ...order);
      expect(step.state.name).toBe('receiving');
      expect(types(step.effects)).toEqual(['send']);
    }
  });

  it('waits for the answer to its commit for longer where the way, or the pause so far, has shown to take long (MG37)', () => {
    const committing = (probeMs: number, restoreMs: number): ReceiverState =>
      play(
        reach('receiving'),
        { type: 'message', at, message: { type: 'can-commit' } },
        { type: 'probed', at, roundTripMs: probeMs },
        { type: 'message', at, message: { type: 'switchover', bulkMessages: 3, deviceBytes: 5, digest: DIGEST, stoppedAt: 990 } },
        { type: 'gathered', at, digest: DIGEST },
        { type: 'restored', at: at + restoreMs },
      ).state;
    expect(committing(100, 200)).toMatchObject({ name: 'committing', deadline: at + 200 + 1500 });
    expect(committing(1000, 200)).toMatchObject({ name: 'committing', deadline: at + 200 + 3000 });
    expect(committing(100, 4000)).toMatchObject({ name: 'committing', deadline: at + 4000 + 2 * (at + 4000 - 990) });
    expect(committing(100, 9000)).toMatchObject({ name: 'committing', deadline: at + 9000 + 10_000 });
  });

  it('commits only after everything is applied, equal and restored (MG20, MG21)', () => {
    const receiving = reach('receiving');
    const [, , , switchover, gathered, restored] = path(false);
    const step = play(receiving, restored!, gathered!, switchover!);
    expect(step.state.name).toBe('restoring');
    expect(started(step.effects)).toEqual([]);
    const devices = stepReceiver(step.state, gathered!);
    expect(started(devices.effects)).toEqual(['restore']);
    expect(started(stepReceiver(devices.state, restored!).effects)).toEqual(['commit']);
  });

  it('with verify compares both scans first, whichever comes first (MG20)', () => {
    const scanning = play(reach('restoring', true), { type: 'gathered', at, digest: DIGEST }, { type: 'restored', at });
    expect(started(scanning.effects)).toEqual(['restore', 'scan']);
    const ours: ReceiverEvent = { type: 'scanned', at, digest: DIGEST };
    const theirs: ReceiverEvent = { type: 'message', at, message: { type: 'scan', digest: DIGEST } };
    for (const order of [
      [ours, theirs],
      [theirs, ours],
    ])
      expect(started(play(scanning.state, ...order).effects)).toEqual(['commit']);
    const other = play(scanning.state, ours, { type: 'message', at, message: { type: 'scan', digest: '1'.repeat(16) } });
    expect(other.state).toMatchObject({ name: 'ended', verdict: { cause: 'digest-mismatch' } });
  });

  it('refuses memory whose digest differs, and keeps nothing (MG20, MG34)', () => {
    const step = stepReceiver(reach('restoring'), { type: 'gathered', at, digest: '1'.repeat(16) });
    expect(step.state).toMatchObject({ name: 'ended', verdict: { cause: 'digest-mismatch' } });
    expect(types(step.effects)).toEqual(['send', 'discard-vm', 'dispose-lease', 'finish']);
  });

  it("runs only after the relay's committed (MG22)", () => {
    const committing = reach('committing');
    expect(play(committing, { type: 'runs', at }, { type: 'restored', at }, { type: 'alive', at }).effects).toEqual([]);
    expect(stepReceiver(committing, { type: 'committed', at, epoch: 2 as LeaseEpoch }).effects).toEqual([{ type: 'run', stoppedAt: 990 }]);
  });

  it('goes by the relay alone once it has asked for the commit: link, source and user have no say (MG22, MG33)', () => {
    const end: ReceiverEvent = { type: 'message', at, message: { type: 'end', outcome: 'cancelled', cause: 'cancelled', reason: 'Enough.' } };
    for (const name of ['committing', 'starting', 'proving'] as const) {
      const state = reach(name);
      for (const event of [LINK_LOST, CANCEL, end, { type: 'failed', at, failure: FAILURE } as const]) {
        expect(stepReceiver(state, event)).toEqual({ state, effects: [] });
      }
    }
  });

  it('tells the source that its commit is not answered, and still runs the VM if it was only late (MG37)', () => {
    const told = stepReceiver(reach('committing'), { type: 'deadline', at: at + 5000 });
    expect(told).toMatchObject({ state: { name: 'committing', deadline: at + 20_000 }, effects: [{ type: 'send', message: { type: 'unanswered' } }] });
    expect(stepReceiver(told.state, { type: 'committed', at: at + 6000, epoch: 2 as LeaseEpoch }).effects).toEqual([{ type: 'run', stoppedAt: 990 }]);
    const refused = stepReceiver(told.state, {
      type: 'operation-failed',
      at: at + 6000,
      operation: 'commit',
      failure: { ...FAILURE, cause: 'commit-refused' },
    });
    expect(refused.state).toMatchObject({ name: 'ended', verdict: { cause: 'commit-refused' } });
    expect(types(refused.effects)).toContain('discard-vm');
  });

  it('never runs a VM whose commit is in doubt (MG29)', () => {
    const told = stepReceiver(reach('committing'), { type: 'deadline', at: at + 5000 }).state;
    for (const event of [
      { type: 'deadline', at: at + 1e6 } as const,
      { type: 'operation-failed', at, operation: 'commit', failure: { ...FAILURE, cause: 'relay-lost' } } as const,
    ]) {
      const step = stepReceiver(told, event);
      expect(step.state).toMatchObject({ name: 'ended', verdict: { cause: 'relay-lost' } });
      expect(types(step.effects)).toContain('discard-vm');
      expect(types(stepReceiver(step.state, { type: 'committed', at, epoch: 2 as LeaseEpoch }).effects)).toEqual([]);
    }
  });

  it("does not discard a VM that has come, whatever goes wrong with it, but on the relay's word (MG29)", () => {
    for (const name of ['starting', 'proving'] as const) {
      for (const operation of ['run', 'await-alive'] as const) {
        const late = name === 'starting' && operation === 'run' ? at + 10_000 : at + 1e6;
        const step = play(reach(name), { type: 'operation-failed', at, operation, failure: FAILURE }, { type: 'deadline', at: late });
        expect(types(step.effects)).not.toContain('discard-vm');
        const revoked = stepReceiver(step.state, { type: 'revoked', at });
        expect(types(revoked.effects)).toContain('discard-vm');
      }
    }
    const telling = stepReceiver(reach('proving'), { type: 'alive', at });
    const refused = stepReceiver(telling.state, { type: 'operation-failed', at, operation: 'tell-alive', failure: { ...FAILURE, cause: 'commit-refused' } });
    expect(types(refused.effects)).toContain('discard-vm');
    const unheard = stepReceiver(telling.state, { type: 'operation-failed', at, operation: 'tell-alive', failure: { ...FAILURE, cause: 'relay-lost' } });
    expect(unheard.effects).toEqual([]);
    expect(started(stepReceiver(unheard.state, { type: 'deadline', at: at + 1000 }).effects)).toEqual(['tell-alive']);
  });

  it("ends for want of the relay's word if its CPU never ran, as the world has seen nothing of it (MG29, I5)", () => {
    const waiting = play(reach('starting'), { type: 'operation-failed', at, operation: 'run', failure: FAILURE });
    expect(types(waiting.effects)).toEqual(['log']);
    const ended = stepReceiver(waiting.state, { type: 'deadline', at: at + 15_000 });
    expect(ended.state).toMatchObject({ name: 'ended', verdict: FAILURE });
    expect(types(ended.effects)).toEqual(['send', 'discard-vm', 'dispose-lease', 'finish']);
  });

  it('survives the loss of the link once everything has come, and not before (MG27)', () => {
    const gathering = reach('restoring');
    expect(stepReceiver(gathering, LINK_LOST).state.name).toBe('ended');
    const devices = stepReceiver(gathering, { type: 'gathered', at, digest: DIGEST }).state;
    expect(stepReceiver(devices, LINK_LOST)).toEqual({ state: devices, effects: [] });
    const verifying = stepReceiver(reach('restoring', true), { type: 'gathered', at, digest: DIGEST }).state;
    expect(stepReceiver(verifying, LINK_LOST).state.name).toBe('ended');
  });

  it('keeps what it has while the source seeks another link (MG32)', () => {
    const lost = stepReceiver(reach('receiving'), LINK_LOST);
    expect(lost.state.name).toBe('interrupted');
    expect(lost.effects).toEqual([]);
    const offered = stepReceiver(lost.state, { type: 'link-offered', at });
    expect(types(offered.effects)).toEqual(['adopt-link']);
    const resumed = stepReceiver(offered.state, { type: 'message', at, message: { type: 'resume', migrationId: 'm-1' } });
    expect(resumed.state.name).toBe('receiving');
    expect(types(resumed.effects)).toEqual(['send-resumed']);
    expect(stepReceiver(lost.state, { type: 'deadline', at: at + 1e6 }).state.name).toBe('ended');
  });

  it('refuses links that nobody waits for', () => {
    for (const name of ['awaiting-offer', 'preparing', 'restoring', 'committing', 'proving', 'ended'] as const) {
      expect(types(stepReceiver(reach(name), { type: 'link-offered', at }).effects)).toEqual(['refuse-link']);
    }
  });

  it('lets go what it asked for before the end and gets after it (MG34)', () => {
    const ended = stepReceiver(reach('preparing'), CANCEL).state;
    expect(types(stepReceiver(ended, { type: 'prepared', at, fingerprint: MODEL_FINGERPRINT, space: MODEL_SPACE }).effects)).toEqual(['discard-vm']);
    expect(types(stepReceiver(ended, { type: 'lease-attached', at }).effects)).toEqual(['dispose-lease']);
  });

  it('keeps its promises in any order of events: one finish, run only when committed, no VM kept that did not come', () => {
    for (let seed = 0; seed < (FULL ? 30_000 : 3000); seed++) {
      const random = new SeededRandom(seed);
      const ordinary = path(seed % 2 === 0);
      let step = beginReceiving(true, at);
      const history: string[] = [];
      let finishes = 0;
      let discarded = false;
      let committed = false;
      let neverRan = false;
      for (let count = 0; count < 300 && step.state.name !== 'ended'; count++) {
        const event = random.chance(0.6)
          ? (ordinary.find((candidate) => {
              const next = stepReceiver(step.state, candidate).state;
              return next !== step.state && (next.name !== 'ended' || next.verdict.outcome === 'completed');
            }) ?? randomReceiverEvent(random, at))
          : randomReceiverEvent(random, at);
        const before = step.state.name;
        step = stepReceiver(step.state, event);
        history.push(`${before} --${event.type}--> ${step.state.name}`);
        if (event.type === 'committed' && before === 'committing') committed = true;
        if (before === 'starting' && event.type === 'operation-failed' && event.operation === 'run') neverRan = true;
        for (const effect of step.effects) {
          if (effect.type === 'finish') finishes++;
          if (effect.type === 'discard-vm') discarded = true;
          if (effect.type === 'run' && !committed) throw new Error(`Run without a commit:\n${history.join('\n')}`);
          if (
            effect.type === 'discard-vm' &&
            committed &&
            event.type !== 'revoked' &&
            event.type !== 'operation-failed' &&
            !(neverRan && event.type === 'deadline')
          ) {
            throw new Error(`Discarded after the commit without the relay's word:\n${history.join('\n')}`);
          }
        }
      }
      if (step.state.name !== 'ended') continue;
      expect(finishes, history.join('\n')).toBe(1);
      const wasOffered = !history.at(-1)?.startsWith('awaiting-offer');
      expect(discarded, history.join('\n')).toBe(wasOffered && step.state.verdict.outcome !== 'completed');
    }
  });
});
