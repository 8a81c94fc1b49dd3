import { describe, expect, it } from 'vitest';
import type { Clock } from '../shared/clock.ts';
import { LATE_MS, MachineLoop, MAX_FURTHER_STEPS, STEP_MS } from './machine-loop.ts';
import { SeededRandom } from './testing/seeded-random.ts';
import { VirtualClock } from './testing/virtual-clock.ts';

interface State {
  readonly name: 'waits' | 'has heard';
  readonly deadline: number | null;
  readonly heard: number;
}
type Event = { readonly type: 'deadline'; readonly at: number } | { readonly type: 'heard' };

const LIMIT_MS = 1500;

/** A machine that waits LIMIT_MS for a message, and the times at which its limit passed. */
function waiting(clock: Clock): { readonly loop: MachineLoop<State, Event, never>; readonly passed: number[] } {
  const passed: number[] = [];
  const loop: MachineLoop<State, Event, never> = new MachineLoop<State, Event, never>({
    clock,
    first: { state: { name: 'waits', deadline: clock.now() + LIMIT_MS, heard: 0 }, effects: [] },
    step: (state, event) => {
      if (event.type === 'heard') return { state: { name: 'has heard', deadline: null, heard: state.heard + 1 }, effects: [] };
      passed.push(event.at);
      return { state: { ...state, deadline: null }, effects: [] };
    },
    perform: () => undefined,
    deadlinePassed: (at) => ({ type: 'deadline', at }),
    onState: () => undefined,
  });
  loop.start();
  return { loop, passed };
}

/** A clock whose thread may be blocked: timers then fire late. */
class StandingClock extends VirtualClock {
  private ahead = 0;

  override now(): number {
    return super.now() + this.ahead;
  }

  standStill(ms: number): void {
    this.ahead += ms;
  }
}

function runOut(clock: VirtualClock): void {
  while (clock.fireNext());
}

describe('The limit of a state', () => {
  it('passes at its time while the thread runs', () => {
    const clock = new VirtualClock();
    const { passed } = waiting(clock);
    runOut(clock);
    expect(passed).toEqual([1000 + LIMIT_MS]);
    expect(clock.pending).toBe(0);
  });

  it('does not count the time in which its own thread stood still, whenever that was (MG38)', () => {
    for (let steps = 0; steps < LIMIT_MS / STEP_MS; steps++) {
      const clock = new StandingClock();
      const { passed } = waiting(clock);
      for (let step = 0; step < steps; step++) clock.fireNext();
      clock.standStill(60_000);
      clock.fireNext();
      expect(passed).toEqual([]);
      runOut(clock);
      // The step in which the thread was blocked counts as one, and another follows for what arrived in that time.
      expect(passed).toHaveLength(1);
      expect(passed[0]).toBeGreaterThanOrEqual(1000 + LIMIT_MS + 60_000);
      expect(passed[0]).toBeLessThanOrEqual(1000 + LIMIT_MS + 60_000 + STEP_MS);
    }
  });

  it('lets what arrived while the thread stood still have its turn before it passes (MG38)', () => {
    const clock = new StandingClock();
    const { loop, passed } = waiting(clock);
    for (let step = 1; step < LIMIT_MS / STEP_MS; step++) clock.fireNext();
    clock.standStill(5000);
    clock.fireNext();
    loop.dispatch({ type: 'heard' });
    runOut(clock);
    expect(passed).toEqual([]);
    expect(loop.state).toEqual({ name: 'has heard', deadline: null, heard: 1 });
    expect(clock.pending).toBe(0);
  });

  it('passes in the end on a thread that always stands still, and never early (MG38)', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new SeededRandom(seed);
      const clock = new StandingClock();
      const { passed } = waiting(clock);
      let fired = 0;
      do {
        if (random.next() < seed / 50) clock.standStill(LATE_MS + 1 + random.next() * 1000);
        fired++;
      } while (clock.fireNext());
      expect(passed).toHaveLength(1);
      expect(passed[0]).toBeGreaterThanOrEqual(1000 + LIMIT_MS);
      expect(fired).toBeLessThanOrEqual(MAX_FURTHER_STEPS + LIMIT_MS / STEP_MS + 2);
    }
  });
});
