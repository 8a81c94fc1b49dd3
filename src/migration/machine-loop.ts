/**
 * Runs a pure state machine: takes events one after another, performs effects in order, and keeps the timer for the
 * state's deadline. Events that an effect causes at once are queued, never nested.
 *
 * A limit exists to notice that the other sides are silent. Time in which this thread itself was blocked, and could
 * hear nobody, does not count (rule MG38): the wait for a deadline is split into short steps, a step that took far too
 * long counts as one step, and whatever arrived in it is handled before the limit passes.
 */
import type { Disposable } from '../shared/disposable.ts';
import type { Clock } from '../shared/clock.ts';

/** The wait for a limit is split into steps of this length. */
export const STEP_MS = 250;
/** If a step ends this much too late, the thread was blocked. */
export const LATE_MS = 100;
/** How many extra steps one limit may get if the thread is blocked again and again. */
export const MAX_FURTHER_STEPS = 120;

interface Timed {
  readonly name: string;
  readonly deadline: number | null;
}
interface Step<State, Effect> {
  readonly state: State;
  readonly effects: readonly Effect[];
}

export interface MachineLoopOptions<State extends Timed, Event, Effect> {
  readonly clock: Clock;
  readonly first: Step<State, Effect>;
  readonly step: (state: State, event: Event) => Step<State, Effect>;
  /** Must not throw: a failure comes back as an event. */
  readonly perform: (effect: Effect) => void;
  readonly deadlinePassed: (at: number) => Event;
  /** After every event that changed the state, before its effects. */
  readonly onState: (state: State) => void;
  /** Each change of the state's name, before onState: `copying -> holding`. */
  readonly onStep?: ((step: string) => void) | undefined;
}

export class MachineLoop<State extends Timed, Event, Effect> {
  private readonly options: MachineLoopOptions<State, Event, Effect>;
  private readonly queue: Event[] = [];
  private current: State;
  private busy = false;
  private timer: { readonly deadline: number; readonly handle: Disposable } | null = null;

  constructor(options: MachineLoopOptions<State, Event, Effect>) {
    this.options = options;
    this.current = options.first.state;
  }

  get state(): State {
    return this.current;
  }

  /** Performs the first step's effects. */
  start(): void {
    this.busy = true;
    this.enter(this.options.first);
    this.drain();
  }

  dispatch(event: Event): void {
    this.queue.push(event);
    if (this.busy) return;
    this.busy = true;
    this.drain();
  }

  private drain(): void {
    for (let event = this.queue.shift(); event !== undefined; event = this.queue.shift()) {
      this.enter(this.options.step(this.current, event));
    }
    this.busy = false;
  }

  private enter({ state, effects }: Step<State, Effect>): void {
    const before = this.current;
    this.current = state;
    this.keepTimer(state.deadline);
    if (state.name !== before.name) this.options.onStep?.(`${before.name} -> ${state.name}`);
    if (state !== before) this.options.onState(state);
    for (const effect of effects) this.options.perform(effect);
  }

  private keepTimer(deadline: number | null): void {
    if (this.timer?.deadline === deadline) return;
    this.timer?.handle.dispose();
    this.timer = null;
    if (deadline !== null) this.wait(deadline, Math.max(0, deadline - this.options.clock.now()), MAX_FURTHER_STEPS);
  }

  /** `left`: what is left of the limit, in ms. `further`: how many steps a blocked thread may still add. */
  private wait(deadline: number, left: number, further: number): void {
    const { clock, deadlinePassed } = this.options;
    const step = Math.min(left, STEP_MS);
    const from = clock.now();
    const handle = clock.setTimeout(() => {
      const stoodStill = clock.now() - from > step + LATE_MS && further > 0;
      const rest = left - step;
      if (rest > 0 || stoodStill) {
        this.wait(deadline, stoodStill ? Math.max(rest, STEP_MS) : rest, stoodStill ? further - 1 : further);
        return;
      }
      this.timer = null;
      this.dispatch(deadlinePassed(Math.max(clock.now(), deadline)));
    }, step);
    this.timer = { deadline, handle };
  }
}
