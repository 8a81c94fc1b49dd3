import { describe, expect, it } from 'vitest';
import { FULL } from '../shared/testing/full.ts';
import type { LeaseEpoch } from '../shared/ids.ts';
import { beginSending, stepSender } from './sender-machine.ts';
import type { SenderEffect, SenderEvent, SenderState, SenderStep } from './sender-states.ts';
import { PLAN, randomSenderEvent } from './testing/machine-walk.ts';
import { MODEL_FINGERPRINT, MODEL_SPACE } from './testing/model-vm.ts';
import { SeededRandom } from './testing/seeded-random.ts';

const at = 1000;
const TOOK = { restore: 3, verify: 0, commit: 4, run: 1 };
const TO_SOURCE = { owner: 'source', epoch: 1 as LeaseEpoch } as const;
const TO_TARGET = { owner: 'target', epoch: 2 as LeaseEpoch } as const;
const TO_NOBODY = { owner: 'nobody', reason: 'The relay knows no such VM.' } as const;

const READY: SenderEvent = { type: 'message', at, message: { type: 'ready', relayRoundTripMs: 1 } };
const DIRTY_TAKEN: Extract<SenderEvent, { type: 'dirty-taken' }> = {
  type: 'dirty-taken',
  at,
  dirtied: 1,
  totals: { pages: 9, bytes: 900 },
  bytesLeft: 0,
  bytesPerSecond: 1e6,
  roundTripMs: 1,
};
const PATH: readonly SenderEvent[] = [
  { type: 'message', at, message: { type: 'accepted', version: 1 } },
  { type: 'message', at, message: { type: 'prepared', fingerprint: MODEL_FINGERPRINT, space: MODEL_SPACE } },
  { type: 'dirty-log-started', at },
  { type: 'round-sent', at },
  DIRTY_TAKEN,
  READY,
  { type: 'round-sent', at },
  DIRTY_TAKEN,
  { type: 'held', at },
  { type: 'stopped', at },
  { type: 'disk-drained', at },
  { type: 'last-sent', at, totals: { pages: 10, bytes: 1000 }, pagesFlowAt: at },
];

/** The state reached by the ordinary path up to (not including) the first state named otherwise. */
function reach(name: SenderState['name']): SenderState {
  let { state } = beginSending(PLAN, at);
  for (const event of PATH) {
    if (state.name === name) return state;
    ({ state } = stepSender(state, event));
  }
  if (state.name !== name) throw new Error(`The ordinary path does not lead to ${name}`);
  return state;
}

function play(state: SenderState, ...events: SenderEvent[]): SenderStep {
  const effects: SenderEffect[] = [];
  for (const event of events) {
    const step = stepSender(state, event);
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects };
}

const started = (effects: readonly SenderEffect[]): string[] => effects.flatMap((effect) => (effect.type === 'start' ? [effect.operation] : []));
const types = (effects: readonly SenderEffect[]): string[] => effects.map((effect) => effect.type);

const CANCEL: SenderEvent = { type: 'cancel', at, reason: 'Enough.' };
const LINK_LOST: SenderEvent = { type: 'link-lost', at, failure: { outcome: 'failed', cause: 'link-failed', reason: 'It broke.' } };

describe("The source's state machine", () => {
  it("asks for its VM when the target says that its commit is not answered, and goes by the relay's word (MG37)", () => {
    const unanswered: SenderEvent = { type: 'message', at, message: { type: 'unanswered' } };
    const asked = stepSender(reach('committing'), unanswered);
    expect(asked.state.name).toBe('aborting');
    expect(started(asked.effects)).toEqual(['abort']);
    expect(stepSender(asked.state, unanswered).effects).toEqual([]);
    const ours = stepSender(asked.state, { type: 'abort-answered', at, outcome: TO_SOURCE });
    expect(ours.state).toMatchObject({ name: 'withdrawing', failure: { cause: 'relay-lost' } });
    const theirs = play(
      asked.state,
      { type: 'abort-answered', at, outcome: TO_TARGET },
      { type: 'target-runs', at, runs: { at, took: null } },
      { type: 'lease', at, outcome: TO_TARGET },
    );
    expect(theirs.state).toMatchObject({ name: 'ended', verdict: { outcome: 'completed' } });
  });

  it('starts the dirty log before it reads what differs from the base (MG11)', () => {
    const opened = play(reach('preparing'), PATH[1]!, PATH[2]!);
    expect(started(opened.effects)).toEqual(['start-dirty-log', 'send-round']);
    expect(types(opened.effects)).toEqual(['start', 'mark-everything', 'start']);
  });

  it('holds only once the target said that it can commit; the rounds go on meanwhile (MG36)', () => {
    const fits = play(reach('copying'), ...PATH.slice(2, 5));
    expect(fits.state).toMatchObject({ name: 'copying', step: 'readying' });
    expect(fits.effects.at(-2)).toEqual({ type: 'send', message: { type: 'can-commit' } });
    const waiting = play(fits.state, { type: 'round-sent', at }, DIRTY_TAKEN, { type: 'round-sent', at }, DIRTY_TAKEN);
    expect(started(waiting.effects)).toEqual(['take-dirty', 'send-round', 'take-dirty', 'send-round']);
    const slow = play(waiting.state, { type: 'round-sent', at: at + 1500 }, { ...DIRTY_TAKEN, at: at + 1500 }, { type: 'rested', at: at + 1700 });
    expect(started(slow.effects)).toEqual(['take-dirty', 'rest', 'send-round']);
    const ready = play(waiting.state, READY, { type: 'round-sent', at }, DIRTY_TAKEN);
    expect(started(ready.effects)).toEqual(['take-dirty', 'hold', 'send-round']);
  });

  it('ends without having touched the VM if the target does not reach the relay (MG36)', () => {
    const fits = play(reach('copying'), ...PATH.slice(2, 5));
    const late = stepSender(fits.state, { type: 'deadline', at: at + 20_000 });
    expect(late.state).toMatchObject({ name: 'ended', verdict: { cause: 'relay-lost' } });
    expect(started(late.effects)).toEqual([]);
  });

  it('asks again if the guest has written too much since, and if the answer is old (MG36)', () => {
    const readied = play(reach('copying'), ...PATH.slice(2, 5), READY, { type: 'round-sent', at }, { ...DIRTY_TAKEN, bytesLeft: 1e9 });
    expect(readied.state).toMatchObject({ name: 'copying', step: 'sending', deadline: null });
    const soon = play(readied.state, { type: 'round-sent', at: at + 1000 }, { ...DIRTY_TAKEN, at: at + 1000 });
    expect(soon.state.name).toBe('holding');
    const late = play(readied.state, { type: 'round-sent', at: at + 2500 }, { ...DIRTY_TAKEN, at: at + 2500 });
    expect(late.state).toMatchObject({ name: 'copying', step: 'readying', readyAt: null });
  });

  it('gives the last round as long as it takes once the target said that it can commit (MG36)', () => {
    const readied = play(reach('copying'), ...PATH.slice(2, 5), READY);
    expect(readied.state.deadline).toBeNull();
    expect(stepSender(readied.state, { type: 'deadline', at: at + 60_000 }).state.name).toBe('copying');
    const { trip } = readied.state;
    const patient = { ...readied.state, trip: { ...trip, plan: { ...trip.plan, maxPauseMs: 20_000 } } } as SenderState;
    const after = (ms: number) => play(patient, { type: 'round-sent', at: at + ms }, { ...DIRTY_TAKEN, at: at + ms }).state;
    expect(after(40_000).name).toBe('holding');
    expect(after(40_001)).toMatchObject({ name: 'copying', step: 'readying', readyAt: null, deadline: at + 40_001 + 20_000 });
  });

  it('does not ask for ever whether the target can commit when every answer is old at the end of the round (MG36)', () => {
    let { state } = play(reach('copying'), ...PATH.slice(2, 5));
    let asked = 1;
    for (let now = at; state.name === 'copying' && asked <= 1000; now += 2500) {
      state = play(state, { ...READY, at: now }, { type: 'round-sent', at: now + 2500 }, { ...DIRTY_TAKEN, at: now + 2500 }).state;
      asked += 1;
    }
    expect(asked).toBe(300);
    expect(state).toMatchObject({
      name: 'ended',
      verdict: { outcome: 'failed', cause: 'not-converging', reason: expect.stringContaining('300 rounds') as string },
    });
  });

  it('stops the CPU only after the relay holds, and sends on meanwhile (MG16)', () => {
    const holding = reach('holding');
    const meanwhile = play(holding, { type: 'round-sent', at }, DIRTY_TAKEN);
    expect(started(meanwhile.effects)).toEqual(['take-dirty', 'send-round']);
    expect(started(stepSender(meanwhile.state, { type: 'held', at }).effects)).toEqual(['stop']);
  });

  it('asks for the VM 2 s after it last heard of the target, and of one that is heard after 10 s (MG37)', () => {
    for (const name of ['handing-over', 'committing'] as const) {
      const standing = reach(name);
      expect(stepSender(standing, { type: 'deadline', at: at + 1999 }).state.name).toBe(name);
      expect(stepSender(standing, { type: 'deadline', at: at + 2000 }).state.name).toBe('aborting');
      let heard = standing;
      for (let ms = 1000; ms <= 9000; ms += 1000) heard = stepSender(heard, { type: 'heard', at: at + ms }).state;
      expect(stepSender(heard, { type: 'deadline', at: at + 9999 }).state.name).toBe(name);
      expect(stepSender(heard, { type: 'deadline', at: at + 10_000 }).state.name).toBe('aborting');
    }
  });

  it('has more patience where a longer pause was allowed, or the target is far (MG37)', () => {
    const standing = reach('committing');
    const { trip } = standing as Extract<SenderState, { name: 'committing' }>;
    const patient = { ...standing, trip: { ...trip, plan: { ...trip.plan, maxPauseMs: 900 }, distanceMs: 100 } } as SenderState;
    expect(stepSender(patient, { type: 'heard', at: at + 100 }).state.deadline).toBe(at + 100 + 3000);
  });

  it('has more patience with a target that was silent for longer before, within bounds (MG37)', () => {
    for (const [quietMs, patienceMs] of [
      [1000, 2000],
      [3000, 4500],
      [30_000, 10_000],
    ] as const) {
      const { state } = play(reach('holding'), { type: 'heard', at }, { type: 'heard', at: at + quietMs }, { type: 'heard', at: at + quietMs + 500 });
      const since = at + quietMs + 500;
      const standing = play(
        { ...state, askedAt: since } as SenderState,
        { type: 'held', at: since },
        { type: 'stopped', at: since },
        { type: 'disk-drained', at: since },
      ).state;
      expect(standing).toMatchObject({ name: 'handing-over', deadline: since + patienceMs });
    }
  });

  it('has more patience where answers, or its own part of the pause, take long, within bounds; the way is not counted (MG37)', () => {
    for (const [readyAfterMs, ownPartMs, patienceMs] of [
      [150, 150, 2000],
      [300, 100, 3000],
      [100, 400, 4000],
      [5000, 100, 10_000],
    ] as const) {
      const asking = play(reach('copying'), ...PATH.slice(2, 4), { ...DIRTY_TAKEN, roundTripMs: 100 }).state;
      expect(asking).toMatchObject({ name: 'copying', step: 'readying' });
      const since = at + 100 + readyAfterMs;
      const { state } = play(
        asking,
        { ...READY, at: since },
        { type: 'round-sent', at: since },
        { ...DIRTY_TAKEN, at: since, roundTripMs: 100 },
        { type: 'held', at: since },
        { type: 'stopped', at: since },
        { type: 'disk-drained', at: since },
        { type: 'last-sent', at: since + ownPartMs, totals: { pages: 10, bytes: 1000 }, pagesFlowAt: since },
      );
      expect(state).toMatchObject({ name: 'committing', deadline: Math.min(since + ownPartMs + patienceMs, since + 10_000) });
    }
  });

  it('tells drained only once the disk is drained (MG17, MG18)', () => {
    const stopping = reach('stopping');
    const stopped = play(stopping, { type: 'disk-drained', at }, { type: 'stopped', at });
    expect(started(stopped.effects)).toEqual(['drain-disk']);
    expect(started(stepSender(stopped.state, { type: 'disk-drained', at }).effects)).toEqual(['tell-drained', 'send-last']);
  });

  it('sends switchover as soon as everything is on its way, whether the relay has confirmed drained or not (MG19)', () => {
    const handingOver = reach('handing-over');
    const confirmed = stepSender(handingOver, { type: 'drained', at });
    expect(confirmed).toMatchObject({ state: { name: 'handing-over' }, effects: [] });
    for (const state of [handingOver, confirmed.state]) {
      const sent = stepSender(state, { type: 'last-sent', at, totals: { pages: 1, bytes: 1 }, pagesFlowAt: at });
      expect(sent.state.name).toBe('committing');
      expect(types(sent.effects)).toEqual(['send-switchover', 'stop-dirty-log', 'throttle']);
    }
  });

  it('asks for the VM if drained cannot be told, and says whom it waited for (MG26, MG37)', () => {
    const committing = reach('committing');
    const failure = { outcome: 'failed', cause: 'relay-lost', reason: 'Gone.' } as const;
    const refused = stepSender(committing, { type: 'operation-failed', at, operation: 'tell-drained', failure });
    expect(refused.state).toMatchObject({ name: 'aborting', failure: { cause: 'relay-lost' } });
    expect(started(refused.effects)).toEqual(['abort']);
    const late: SenderEvent = { type: 'deadline', at: at + 1e6 };
    expect(stepSender(committing, late).state).toMatchObject({ name: 'aborting', failure: { cause: 'relay-lost' } });
    expect(play(committing, { type: 'drained', at }, late).state).toMatchObject({ name: 'aborting', failure: { cause: 'target-silent' } });
  });

  it('counts the ways of the pause as they are once the relay holds: what goes side by side counts once (MG15)', () => {
    const holding = reach('holding') as Extract<SenderState, { name: 'holding' }>;
    const distanceMs = (linkMs: number, sourceRelayMs: number, targetRelayMs: number): number => {
      const near: SenderState = { ...holding, trip: { ...holding.trip, linkMs, targetRelayMs, distanceMs: 0, expectedPauseMs: 30 } };
      const { trip } = stepSender(near, { type: 'held', at: at + sourceRelayMs }).state;
      expect(trip.expectedPauseMs).toBe(30 + trip.distanceMs);
      return trip.distanceMs;
    };
    expect(distanceMs(100, 100, 100)).toBe(150);
    expect(distanceMs(0, 100, 100)).toBe(100);
    expect(distanceMs(2, 300, 10)).toBe(155);
  });

  it("discards its copy on the relay's word and on nothing else (MG23)", () => {
    const committing = reach('committing');
    const runs = stepSender(committing, { type: 'target-runs', at: at + 30, runs: { at: at + 25, took: TOOK } });
    expect(runs.effects).toEqual([]);
    const told = stepSender(runs.state, { type: 'lease', at: at + 40, outcome: TO_TARGET });
    expect(types(told.effects)).toEqual(['discard-vm', 'finish']);
    expect(told.effects.at(-1)).toMatchObject({ pauseMs: 25, downtime: { ...TOOK, transfer: 17 }, verdict: { outcome: 'completed' } });
  });

  it("waits a moment for the target's own figure of the pause, then takes the relay's (MG23)", () => {
    const told = stepSender(reach('committing'), { type: 'lease', at: at + 40, outcome: TO_TARGET });
    expect(told.state.name).toBe('confirming');
    expect(stepSender(told.state, { type: 'target-runs', at: at + 50, runs: { at: at + 25, took: null } }).effects).toEqual([
      { type: 'finish', verdict: { outcome: 'completed' }, pauseMs: 25, downtime: null },
    ]);
    expect(stepSender(told.state, { type: 'deadline', at: at + 9999 }).effects).toEqual([
      { type: 'finish', verdict: { outcome: 'completed' }, pauseMs: 40, downtime: null },
    ]);
  });

  it('ends alone and at once up to the moment it tells drained (MG24, MG33)', () => {
    for (const name of ['offering', 'preparing', 'copying'] as const) {
      const ended = stepSender(reach(name), CANCEL);
      expect(ended.state).toMatchObject({ name: 'ended', verdict: { outcome: 'cancelled' } });
    }
    const holding = stepSender(reach('holding'), CANCEL);
    expect(started(holding.effects)).toEqual(['release']);
    const stopping = stepSender(reach('stopping'), CANCEL);
    expect(started(stopping.effects)).toEqual(['resume', 'release']);
    const ended = play(stopping.state, { type: 'released', at }, { type: 'resumed', at: at + 3 });
    expect(ended.state).toMatchObject({ name: 'ended', verdict: { outcome: 'cancelled' } });
  });

  it('asks the relay from drained on, and resumes on its word alone (MG25, MG26)', () => {
    for (const name of ['handing-over', 'committing'] as const) {
      for (const event of [CANCEL, { ...LINK_LOST }, { type: 'deadline', at: at + 1e6 } as const]) {
        const asked = stepSender(reach(name), event);
        expect(asked.state.name).toBe('aborting');
        expect(started(asked.effects)).toEqual(['abort']);
        expect(
          started(play(asked.state, CANCEL, LINK_LOST, { type: 'deadline', at: at + 1e6 }, { type: 'resumed', at }).effects).filter(
            (operation) => operation !== 'abort',
          ),
        ).toEqual([]);
        const back = stepSender(asked.state, { type: 'abort-answered', at, outcome: TO_SOURCE });
        expect(back.state.name).toBe('withdrawing');
        expect(started(back.effects)).toEqual(['resume']);
      }
    }
  });

  it('stays stopped when the relay answers an abort with the target, until it tells how that ends (MG26, MG28)', () => {
    const asked = stepSender(reach('committing'), CANCEL);
    const refused = stepSender(asked.state, { type: 'abort-answered', at, outcome: TO_TARGET });
    expect(refused.state).toMatchObject({ name: 'committing', deadline: null });
    expect(started(refused.effects)).toEqual([]);
    const lives = stepSender(refused.state, { type: 'lease', at, outcome: TO_TARGET });
    expect(types(lives.effects)).toContain('discard-vm');
    const givenBack = stepSender(refused.state, { type: 'lease', at, outcome: { owner: 'source', epoch: 3 as LeaseEpoch } });
    expect(started(givenBack.effects)).toEqual(['resume']);
    expect(givenBack.state).toMatchObject({ name: 'withdrawing', failure: { outcome: 'cancelled' } });
  });

  it("does not say that it has moved what is nobody's any more, unless the target has run it (MG26)", () => {
    const runs: SenderEvent = { type: 'target-runs', at, runs: { at, took: null } };
    const asked = stepSender(reach('committing'), CANCEL).state;
    for (const state of [reach('committing'), asked]) {
      for (const type of ['lease', 'abort-answered'] as const) {
        const gone = stepSender(state, { type, at, outcome: TO_NOBODY });
        expect(gone.state).toMatchObject({
          name: 'ended',
          verdict: { outcome: 'failed', cause: 'vm-ended', reason: expect.stringContaining('knows no such VM') as string },
        });
        expect(types(gone.effects)).toEqual(['discard-vm', 'finish']);
        expect(play(state, runs, { type, at, outcome: TO_NOBODY }).state).toMatchObject({ name: 'ended', verdict: { outcome: 'completed' } });
      }
    }
  });

  it('asks the relay again if it could not be asked (MG27)', () => {
    const asked = stepSender(reach('committing'), CANCEL);
    const failed = stepSender(asked.state, {
      type: 'operation-failed',
      at,
      operation: 'abort',
      failure: { outcome: 'failed', cause: 'relay-lost', reason: 'Gone.' },
    });
    expect(failed.state).toMatchObject({ name: 'aborting', deadline: at + 1000 });
    expect(started(stepSender(failed.state, { type: 'deadline', at: at + 1000 }).effects)).toEqual(['abort']);
  });

  it('resumes over another link once link, VM and lease are as they were (MG32)', () => {
    const lost = stepSender(reach('stopping'), LINK_LOST);
    expect(lost.state.name).toBe('reconnecting');
    expect(started(lost.effects)).toEqual(['replace-link', 'resume', 'release']);
    const replaced = play(
      lost.state,
      { type: 'link-replaced', at },
      { type: 'message', at, message: { type: 'resumed', messages: 4 } },
      { type: 'released', at },
    );
    expect(replaced.state.name).toBe('reconnecting');
    const resumed = stepSender(replaced.state, { type: 'resumed', at });
    expect(resumed.state.name).toBe('copying');
    expect(resumed.effects).toContainEqual({ type: 'mark-unapplied', messagesApplied: 4 });
  });

  it('refuses a message that makes no sense in its state, by name (MG9)', () => {
    for (const name of ['offering', 'copying', 'holding'] as const) {
      const step = stepSender(reach(name), { type: 'message', at, message: { type: 'resumed', messages: 1 } });
      expect(step.effects).toContainEqual(
        expect.objectContaining({ type: 'send', message: expect.objectContaining({ type: 'end', cause: 'bad-message' }) as unknown }),
      );
    }
  });

  it('refuses a target whose machine differs, and says in what (MG11)', () => {
    const step = stepSender(reach('preparing'), {
      type: 'message',
      at,
      message: { type: 'prepared', fingerprint: { ...MODEL_FINGERPRINT, v86Version: '0.5.461' }, space: MODEL_SPACE },
    });
    expect(step.state).toMatchObject({
      name: 'ended',
      verdict: { cause: 'fingerprint-mismatch', reason: expect.stringContaining('v86 0.5.461, this VM needs 0.5.462') as unknown },
    });
  });

  it('has a time limit in every state that waits (MG30)', () => {
    for (const name of ['offering', 'preparing', 'holding', 'stopping', 'handing-over', 'committing'] as const) {
      const state = reach(name);
      expect(state.deadline).not.toBeNull();
      expect(stepSender(state, { type: 'deadline', at: (state.deadline ?? 0) - 1 }).state).toBe(state);
      expect(stepSender(state, { type: 'deadline', at: state.deadline ?? 0 }).state.name).not.toBe(name);
    }
  });

  it('keeps its promises in any order of events: one finish, tracking ended once, resume only after a pause and never against the relay', () => {
    for (let seed = 0; seed < (FULL ? 30_000 : 3000); seed++) {
      const random = new SeededRandom(seed);
      let step = beginSending(PLAN, at);
      const history: string[] = [];
      const counts = { finish: 0, 'stop-dirty-log': 0, discard: 0, 'start-dirty-log': 0 };
      let drainedTold = false;
      let relayGaveBack = false;
      for (let count = 0; count < 400 && step.state.name !== 'ended'; count++) {
        // Mostly events that lead on, so that every state is reached.
        const event = random.chance(0.6)
          ? (PATH.find((candidate) => stepSender(step.state, candidate).state !== step.state && candidate.type !== 'message') ??
            randomSenderEvent(random, at + count))
          : randomSenderEvent(random, at + count);
        if ((event.type === 'lease' || event.type === 'abort-answered') && event.outcome.owner === 'source') relayGaveBack = true;
        const before = step.state.name;
        step = stepSender(step.state, event);
        history.push(`${before} --${event.type}--> ${step.state.name}`);
        for (const effect of step.effects) {
          if (effect.type === 'finish') counts.finish++;
          if (effect.type === 'stop-dirty-log') counts['stop-dirty-log']++;
          if (effect.type === 'discard-vm') counts.discard++;
          if (effect.type === 'start' && effect.operation === 'tell-drained') drainedTold = true;
          if (effect.type === 'start' && effect.operation === 'resume' && drainedTold && !relayGaveBack)
            throw new Error(`Resumed against the relay:\n${history.join('\n')}`);
          if (effect.type === 'start' && effect.operation === 'start-dirty-log') counts['start-dirty-log']++;
        }
      }
      if (step.state.name !== 'ended') continue;
      expect(counts.finish, history.join('\n')).toBe(1);
      expect(counts['stop-dirty-log'], history.join('\n')).toBe(counts['start-dirty-log'] > 0 ? 1 : 0);
      expect(counts.discard, history.join('\n')).toBe(step.state.verdict.outcome === 'completed' || step.state.verdict.cause === 'vm-ended' ? 1 : 0);
      const late = stepSender(step.state, randomSenderEvent(random, at));
      expect(late.effects).toEqual([]);
    }
  });
});
