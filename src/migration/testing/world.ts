/**
 * A world in which nothing happens by itself: everything that takes time (a message in flight, a VM being paused, a
 * task of the event loop, a timer) is an action that waits until the schedule picks it. The same seed always gives the
 * same run.
 */
import { disposable, type Disposable } from '../../shared/disposable.ts';
import type { Clock } from '../../shared/clock.ts';
import { SeededRandom } from './seeded-random.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface Action {
  readonly name: string;
  /** Goes on by itself, and nobody waits for it: while nothing else can happen, time passes quickly. */
  readonly idle?: boolean;
  readonly run: () => void;
}

/** Something that can act whenever the schedule wants: a lane with messages in flight, a guest that runs. */
export type ActionSource = () => Action | readonly Action[] | null;

/** An action, and the host that would do it. */
interface Possible {
  readonly host: Host;
  readonly action: Action;
}

/** How long a step takes at most while nothing but idle actions can happen. */
const IDLE_MS = 300;

export class World {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly seed: number;
  /** What happened, newest last; printed when an expectation fails. */
  readonly trace: string[] = [];
  private readonly hosts: Host[] = [];

  constructor(seed: number) {
    this.seed = seed;
    this.random = new SeededRandom(seed);
  }

  /** A tab, or the relay: something that can die, freeze and has a clock of its own. */
  addHost(name: string, clockOffsetMs = 0): Host {
    const host = new Host(this, name, clockOffsetMs);
    this.hosts.push(host);
    return host;
  }

  get hostCount(): number {
    return this.hosts.length;
  }

  note(what: string): void {
    this.trace.push(`${this.clock.now().toFixed(1)} ${what}`);
  }

  /** The last of what happened, for a failure's message. */
  story(lines = 60): string {
    return `seed ${this.seed}\n${this.trace.slice(-lines).join('\n')}`;
  }

  /** Everything that could happen next, timers aside. */
  private possible(): Possible[] {
    const found: Possible[] = [];
    for (const host of this.hosts) host.possible(found);
    return found;
  }

  /** Runs one action and everything that follows from it at once. */
  private async perform({ host, action }: Possible): Promise<void> {
    this.note(`${host.name}: ${action.name}`);
    action.run();
    await settle();
  }

  /**
   * One step of a schedule: a random action, which takes up to `slowest` ms, or the next timer if it is due earlier.
   * False if nothing can happen any more.
   */
  async step(slowest = 1): Promise<boolean> {
    const possible = this.possible();
    const next = this.clock.nextAt;
    const busy = possible.some(({ action }) => action.idle !== true);
    const takes = this.random.next() * (busy ? slowest : IDLE_MS);
    if (next !== null && (possible.length === 0 || next <= this.clock.now() + takes || this.random.chance(0.001))) {
      this.clock.fireNext();
      await settle();
      return true;
    }
    if (possible.length === 0) return false;
    this.clock.pass(takes);
    await this.perform(this.random.pick(possible));
    return true;
  }

  /** Steps until `finished` or nothing can happen, `limit` steps at most; `each` is called after every step. True if finished. */
  async run(finished: () => boolean, each: () => void = () => undefined, limit = 20_000): Promise<boolean> {
    await settle();
    for (let steps = 0; steps < limit && !finished(); steps++) {
      if (!(await this.step())) break;
      each();
    }
    return finished();
  }
}

export class Host {
  readonly name: string;
  readonly clock: Clock;
  private readonly world: World;
  /** Timers set and neither fired nor disposed. */
  openTimers = 0;
  private state: 'up' | 'frozen' | 'dead' = 'up';
  private readonly sources: ActionSource[] = [];
  private deferred: Action[] = [];
  /** Timers that came due while the host was frozen. */
  private overdue: (() => void)[] = [];

  constructor(world: World, name: string, clockOffsetMs: number) {
    this.world = world;
    this.name = name;
    this.clock = {
      now: () => world.clock.now() + clockOffsetMs,
      setTimeout: (callback, ms) => this.timer(callback, ms),
    };
  }

  get isUp(): boolean {
    return this.state === 'up';
  }

  get isDead(): boolean {
    return this.state === 'dead';
  }

  /** Offers an action again and again while the host is up. */
  addSource(source: ActionSource): void {
    this.sources.push(source);
  }

  /** An action the schedule will run once, if the host is up. */
  defer(what: string, run: () => void): void {
    const action: Action = {
      name: what,
      run: () => {
        this.deferred = this.deferred.filter((other) => other !== action);
        run();
      },
    };
    this.deferred.push(action);
  }

  /** Resolves when the schedule picks it. */
  readonly whenPicked = (what: string): Promise<void> => new Promise((resolve) => this.defer(what, resolve));

  /** A task of the host's event loop. */
  readonly nextTask = (): Promise<void> => this.whenPicked('next task');

  /** What the host could do next, added to `found`. */
  possible(found: Possible[] = []): Possible[] {
    if (this.state !== 'up') return found;
    for (const action of this.deferred) found.push({ host: this, action });
    for (const source of this.sources) {
      const offered = source();
      if (offered === null) continue;
      if ('run' in offered) found.push({ host: this, action: offered });
      else for (const action of offered) found.push({ host: this, action });
    }
    return found;
  }

  /** Nothing happens here any more. */
  kill(): void {
    this.world.note(`${this.name} is killed`);
    this.state = 'dead';
    this.deferred = [];
    this.overdue = [];
  }

  freeze(): void {
    if (this.state !== 'up') return;
    this.world.note(`${this.name} is frozen`);
    this.state = 'frozen';
  }

  /** The host wakes up: its overdue timers fire at once. */
  thaw(): void {
    if (this.state !== 'frozen') return;
    this.world.note(`${this.name} wakes up`);
    this.state = 'up';
    const { overdue } = this;
    this.overdue = [];
    for (const callback of overdue) callback();
  }

  private timer(callback: () => void, ms: number): Disposable {
    let wanted = true;
    this.openTimers++;
    const fire = (): void => {
      if (!wanted || this.state === 'dead') return;
      if (this.state === 'frozen') this.overdue.push(fire);
      else {
        wanted = false;
        this.openTimers--;
        callback();
      }
    };
    const timer = this.world.clock.setTimeout(fire, ms);
    return disposable(() => {
      if (wanted) this.openTimers--;
      wanted = false;
      timer.dispose();
    });
  }
}

/** The event loop gets its turn once in so many times: a test that goes on for ever can be ended. */
const TURN_EVERY = 256;
let settled = 0;

/**
 * Lets every promise that can settle do so: Node runs what is put on its tick queue from within a promise's callback once
 * all of those have run. A turn of the event loop does the same and takes longer.
 */
export async function settle(): Promise<void> {
  await Promise.resolve();
  await new Promise<void>((resolve) => {
    if (++settled % TURN_EVERY === 0) setImmediate(resolve);
    else process.nextTick(resolve);
  });
}
