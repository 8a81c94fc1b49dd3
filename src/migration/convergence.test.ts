import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, describeDecision, FIRST_MEMORY, MAX_ROUNDS, type ConvergenceFigures, type ConvergenceMemory, type Decision } from './convergence.ts';
import { EXPECTED_DEVICE_BYTES } from './limits.ts';

const MB = 1e6;
/** Nothing is far, and the relay answers at once. */
const NEAR = { distanceMs: 0 } as const;
/** The device state at 20 MB/s. */
const DEVICES_MS = (EXPECTED_DEVICE_BYTES / (20 * MB)) * 1000;

interface Guest {
  /** Bytes the guest would write in a round of `ms` with this share of the CPU. */
  readonly writes: (ms: number, cpuFraction: number, round: number) => number;
  readonly bytesPerSecond?: number;
  readonly maxPauseMs?: number;
  readonly fixedPauseMs?: number;
  readonly firstBytes?: number;
  readonly distanceMs?: number;
}

interface Outcome {
  readonly decisions: Decision[];
  readonly last: Decision;
  readonly memory: ConvergenceMemory;
  readonly expectedPauseMs: number;
  readonly ms: number;
}

/** Plays rounds until the policy ends them. */
function play({ writes, bytesPerSecond = 20 * MB, maxPauseMs = 100, fixedPauseMs = 30, firstBytes = 10 * MB, distanceMs = 0 }: Guest): Outcome {
  let memory = FIRST_MEMORY;
  let at = 0;
  let toSend = firstBytes;
  const decisions: Decision[] = [];
  for (let rounds = 1; ; rounds++) {
    const ms = (toSend / bytesPerSecond) * 1000 + 1 + distanceMs;
    at += ms;
    toSend = writes(ms, memory.cpuFraction, rounds);
    const figures: ConvergenceFigures = {
      ...NEAR,
      at,
      rounds,
      bytesLeft: toSend,
      bytesPerSecond,
      fixedPauseMs,
      distanceMs,
      maxPauseMs,
    };
    const judgement = decide(memory, figures);
    memory = judgement.memory;
    decisions.push(judgement.decision);
    if (judgement.decision.type === 'switch-over' || judgement.decision.type === 'give-up') {
      return { decisions, last: judgement.decision, memory, expectedPauseMs: judgement.expectedPauseMs, ms: at };
    }
  }
}

const kinds = (outcome: Outcome): string[] => outcome.decisions.map((decision) => decision.type);

describe('The convergence policy', () => {
  it('switches an idle guest over after two or three rounds (MG15)', () => {
    const idle = play({ firstBytes: 0.5 * MB, writes: (ms) => 20_000 + ms * 500 });
    expect(idle.last.type).toBe('switch-over');
    expect(idle.decisions.length).toBeLessThanOrEqual(3);
  });

  it('switches over at once when next to nothing is left (MG15)', () => {
    expect(kinds(play({ writes: () => 1000 }))).toEqual(['switch-over']);
  });

  it('polishes a pause that fits while rounds still shorten it a good deal, three rounds at most (MG15)', () => {
    const shrinking = play({ writes: (ms) => ms * 10_000 });
    expect(shrinking.last.type).toBe('switch-over');
    expect(shrinking.expectedPauseMs).toBeLessThan(60);
    const steady = play({ firstBytes: 1 * MB, writes: () => 1 * MB });
    expect(kinds(steady)).toEqual(['continue', 'switch-over']);
  });

  it('goes on while every round leaves less (MG15)', () => {
    const busy = play({ firstBytes: 100 * MB, writes: (ms) => ms * 14_000 });
    expect(busy.last.type).toBe('switch-over');
    expect(kinds(busy)).not.toContain('throttle');
    expect(busy.expectedPauseMs).toBeLessThanOrEqual(100);
  });

  it('slows down a guest that writes as fast as can be sent, and then converges (MG15)', () => {
    const hungry = play({ firstBytes: 40 * MB, writes: (ms, cpu) => Math.min(40 * MB, ms * 25_000 * cpu) });
    expect(hungry.last.type).toBe('switch-over');
    expect(kinds(hungry)).toContain('throttle');
    expect(kinds(hungry)).not.toContain('relax');
    expect(hungry.expectedPauseMs).toBeLessThanOrEqual(100);
    expect(hungry.memory.cpuFraction).toBeGreaterThan(0.1);
  });

  it('takes the CPU away in steps down to a tenth (MG15)', () => {
    const stubborn = play({ writes: () => 20 * MB });
    const fractions = stubborn.decisions.flatMap((decision) => (decision.type === 'throttle' ? [decision.cpuFraction] : []));
    expect(fractions).toEqual([0.8, 0.55, 0.35, 0.2, 0.1]);
  });

  it('allows three times the pause when slowing down was not enough (MG15)', () => {
    const heavy = play({ writes: () => 4 * MB });
    expect(kinds(heavy)).toContain('relax');
    expect(heavy.last.type).toBe('switch-over');
    expect(heavy.expectedPauseMs).toBeGreaterThan(100);
    expect(heavy.expectedPauseMs).toBeLessThanOrEqual(300);
  });

  it('does not slow the guest down where the devices alone take longer than is allowed, but allows a longer pause (MG15)', () => {
    const lossy = play({ bytesPerSecond: 50_000, distanceMs: 125, firstBytes: 1 * MB, writes: () => 8_000 });
    expect(lossy.last.type).toBe('switch-over');
    expect(kinds(lossy)).toContain('relax');
    expect(kinds(lossy)).not.toContain('throttle');
  });

  it('does not give up while a link that loses packets is slow for some seconds (MG15)', () => {
    const memory: ConvergenceMemory = { ...FIRST_MEMORY, cpuFraction: 0.1, relaxed: true, best: { bytesLeft: 60_000, at: 0 }, previousBytesLeft: 60_000 };
    const at = (ms: number, bytesPerSecond: number, now: ConvergenceMemory) =>
      decide(now, {
        ...NEAR,
        at: ms,
        rounds: 40,
        bytesLeft: 62_000,
        bytesPerSecond,
        fixedPauseMs: 30,
        distanceMs: 50,
        maxPauseMs: 100,
      });
    let now = memory;
    for (let ms = 500; ms <= 8000; ms += 500) {
      const judgement = at(ms, 120_000, now);
      expect(judgement.decision.type).toBe('continue');
      now = judgement.memory;
    }
    expect(at(8500, 2 * MB, now).decision.type).toBe('switch-over');
    expect(at(10_500, 120_000, now).decision.type).toBe('give-up');
  });

  it('gives up when nothing helps (MG15)', () => {
    const hopeless = play({ writes: () => 20 * MB });
    expect(hopeless.last.type).toBe('give-up');
    expect(kinds(hopeless).filter((kind) => kind === 'relax')).toHaveLength(1);
  });

  it('does not ask for the impossible when the fixed part alone exceeds the limit', () => {
    const outcome = play({ maxPauseMs: 10, writes: (ms) => ms * 2000 });
    expect(outcome.last.type).toBe('switch-over');
    expect(outcome.expectedPauseMs).toBeLessThan(36 + DEVICES_MS);
  });

  it('takes the limit to be on top of what the distance costs, which no round makes less (MG15)', () => {
    for (const distanceMs of [0, 20, 50, 100, 150]) {
      const ticker = play({ distanceMs, bytesPerSecond: 50 * MB, firstBytes: 3 * MB, writes: () => 40_000 });
      expect(ticker.last.type, `${distanceMs} ms`).toBe('switch-over');
      expect(kinds(ticker)).not.toContain('throttle');
      expect(ticker.decisions.length).toBeLessThanOrEqual(5);
      expect(ticker.expectedPauseMs).toBeGreaterThanOrEqual(30 + distanceMs);
      expect(ticker.expectedPauseMs).toBeLessThanOrEqual(30 + distanceMs + 5);
    }
  });

  it('counts the device state, and the distance on top of the limit (MG15)', () => {
    const slow = { ...NEAR, at: 0, rounds: 3, bytesPerSecond: 400_000, fixedPauseMs: 30, maxPauseMs: 100 };
    const devicesMs = EXPECTED_DEVICE_BYTES / 400;
    const judged = (changes: Partial<ConvergenceFigures>): ReturnType<typeof decide> => decide(FIRST_MEMORY, { ...slow, bytesLeft: 0, ...changes });
    expect(judged({}).expectedPauseMs).toBeCloseTo(30 + devicesMs);
    expect(judged({ bytesLeft: 8000 }).expectedPauseMs).toBeCloseTo(30 + devicesMs + 20);
    // Not quite 60 ms are left for pages: 23.9 kB.
    expect(judged({ bytesLeft: 26_000 }).decision.type).toBe('continue');
    expect(judged({ bytesLeft: 11_000, distanceMs: 50 }).expectedPauseMs).toBeCloseTo(30 + devicesMs + 27.5 + 50);
    const polished = { ...FIRST_MEMORY, polishingRounds: 3 };
    expect(decide(polished, { ...slow, bytesLeft: 11_000, distanceMs: 50 }).decision.type).toBe('switch-over');
  });

  it('assumes a slow link before anything was measured', () => {
    const { decision } = decide(FIRST_MEMORY, { ...NEAR, at: 0, rounds: 1, bytesLeft: 1 * MB, bytesPerSecond: null, fixedPauseMs: 30, maxPauseMs: 100 });
    expect(decision.type).toBe('continue');
  });

  it('ends every sequence of figures in a bounded number of rounds, and never switches over above the limit it allows (MG15)', () => {
    fc.assert(
      fc.property(
        fc.infiniteStream(fc.record({ bytesLeft: fc.nat(1e9), rate: fc.integer({ min: 1000, max: 1e8 }), ms: fc.integer({ min: 0, max: 5000 }) })),
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 0, max: 200 }),
        (stream, maxPauseMs, fixedPauseMs) => {
          let memory = FIRST_MEMORY;
          let at = 0;
          let rounds = 0;
          for (const { bytesLeft, rate, ms } of stream) {
            rounds++;
            at += ms;
            const judgement = decide(memory, { ...NEAR, at, rounds, bytesLeft, bytesPerSecond: rate, fixedPauseMs, maxPauseMs });
            if (judgement.decision.type === 'switch-over') {
              const devicesMs = (EXPECTED_DEVICE_BYTES / rate) * 1000;
              const allowed = Math.max(maxPauseMs * (memory.relaxed ? 3 : 1), fixedPauseMs + devicesMs + 5);
              expect(judgement.expectedPauseMs).toBeLessThanOrEqual(allowed + 1e-6);
              return;
            }
            if (judgement.decision.type === 'give-up') return;
            expect(rounds).toBeLessThan(MAX_ROUNDS + 5);
            expect(judgement.memory.cpuFraction).toBeLessThanOrEqual(memory.cpuFraction);
            memory = judgement.memory;
          }
        },
      ),
    );
  });

  it('says in words what it does to the guest', () => {
    expect(describeDecision({ type: 'throttle', cpuFraction: 0.7 })).toMatch(/70 %/);
    expect(describeDecision({ type: 'relax', maxPauseMs: 300 })).toMatch(/300 ms/);
    expect(describeDecision({ type: 'continue' })).toBeNull();
  });
});
