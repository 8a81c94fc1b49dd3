/**
 * Runs a pure state machine: events go in one after another, effects are performed in order, and the timer of the
 * state's deadline is kept. What an effect causes at once is queued, never nested.
 */
import type { Disposable } from '../shared/disposable.ts';
import type { Clock } from './ports.ts';

interface Timed {
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
  /** Must not throw: what goes wrong comes back as an event. */
  readonly perform: (effect: Effect) => void;
  readonly deadlinePassed: (at: number) => Event;
  /** After every event that changed the state, before its effects. */
  readonly onState: (state: State) => void;
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
    const changed = state !== this.current;
    this.current = state;
    this.keepTimer(state.deadline);
    if (changed) this.options.onState(state);
    for (const effect of effects) this.options.perform(effect);
  }

  private keepTimer(deadline: number | null): void {
    if (this.timer?.deadline === deadline) return;
    this.timer?.handle.dispose();
    this.timer = null;
    if (deadline === null) return;
    const { clock, deadlinePassed } = this.options;
    const handle = clock.setTimeout(() => {
      this.timer = null;
      this.dispatch(deadlinePassed(Math.max(clock.now(), deadline)));
    }, Math.max(0, deadline - clock.now()));
    this.timer = { deadline, handle };
  }
}
