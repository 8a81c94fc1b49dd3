/**
 * One migration under a schedule of trouble: both state machines, the relay and the ports, in virtual time. The seed
 * decides everything, so the same seed fails the same way again. The invariants are checked after every step. When
 * everything has come to rest, they are checked once more, and nothing may be left over.
 */
import { INNER_FAULTS } from '../../../migration/testing/faults.ts';
import { Invariants } from '../../../migration/testing/invariants.ts';
import { CLOCK_OFFSET_MS } from '../../../migration/testing/rehearsal.ts';
import { Staging } from '../../../migration/testing/staging.ts';
import { World } from '../../../migration/testing/world.ts';
import type { PageSpace } from '../../../migration/ports.ts';
import type { Coverage, Row } from './coverage.ts';
import { CLOSED_TABS, DISTURBANCES, FULL_DISK, REMOVED_TABS, type Disturbance, type Scene } from './disturbances.ts';
import { RelayArbiter } from './relay-arbiter.ts';
import { leadTo } from './routes.ts';

/** Few pages: what is tried here is the order of events, not the amount of memory. */
const SMALL: PageSpace = { ramPages: 12, videoPages: 2, diskPages: 6 };
/** A migration takes a few hundred steps, with the longest absence a few thousand. */
const MOST_STEPS = 30_000;
/** Steps after the end in which planned trouble may still strike. */
const STEPS_AFTER_THE_END = 60;
/** Back-off of both ports, and the 10 s that the relay gives both sides after a restart. */
const STEPS_TO_REST = 8000;
/** Frames sent to see whether they arrive, and how long each may take. */
const MOST_TRIES = 8;
/** Lines of a failure's story: the last steps alone would only show a wait in vain. */
const STORY_LINES = 400;
const PATIENCE_MS = 1500;
/** A long way: for the most part the target waits (1.5 s), sometimes it does not. */
const LONGEST_WAY_MS = 2000;

/** What is to strike: named trouble in a named state, or any trouble at any time. */
export type Plan =
  | { readonly row: Row; readonly disturbance: Disturbance; /** At the state's first step; otherwise perhaps later. */ readonly atOnce: boolean }
  | 'random'
  /** The same, and the relay's disk is full for a while. */
  | 'random with a full disk'
  /** The same, and one of the two tabs is closed. */
  | 'random with a closed tab'
  /** The same, and one of the two tabs is removed by the room's owner. */
  | 'random with a removed tab'
  /** The same, and what the source says to the relay as it hands over takes long: the target's commit comes first (NR11). */
  | 'random over a long way';

export interface Outcome {
  /** How it ended, for statistics. */
  readonly end: string;
  readonly commitWaited: boolean;
}

/** Runs one schedule. Throws with the seed and the story if anything does not hold. */
export async function runSchedule(seed: number, plan: Plan, coverage: Coverage): Promise<Outcome> {
  const machine = await FaultMachine.open(seed, plan, coverage);
  return machine.run();
}

class FaultMachine implements Scene {
  readonly staging: Staging<RelayArbiter>;
  readonly arbiter: RelayArbiter;
  private readonly world: World;
  private readonly coverage: Coverage;
  private readonly invariants: Invariants;
  private readonly each: () => void;
  private ailing = 0;
  private watchers: (() => boolean)[] = [];
  /** Something planned has not struck yet. */
  private expecting = true;

  private constructor(arbiter: RelayArbiter, staging: Staging<RelayArbiter>, plan: Plan, coverage: Coverage) {
    this.arbiter = arbiter;
    this.staging = staging;
    this.world = staging.world;
    this.coverage = coverage;
    this.invariants = new Invariants(staging);
    this.each = typeof plan === 'string' ? this.anything(plan) : this.directed(plan);
  }

  static async open(seed: number, plan: Plan, coverage: Coverage): Promise<FaultMachine> {
    const world = new World(seed);
    const source = world.addHost('source');
    const target = world.addHost('target', CLOCK_OFFSET_MS);
    const arbiter = await RelayArbiter.open(world, source, target);
    const reconnects = typeof plan === 'string' ? world.random.chance(0.5) : (leadTo(plan.row).reconnects ?? world.random.chance(0.5));
    const staging = new Staging(
      { world, source, target, arbiter, vmId: arbiter.vmId },
      {
        space: SMALL,
        reconnects,
        verify: world.random.chance(0.25),
        writesPerStep: world.random.below(3),
      },
    );
    return new FaultMachine(arbiter, staging, plan, coverage);
  }

  heal(ms: number, undo: () => void): void {
    this.ailing++;
    this.world.clock.setTimeout(() => {
      this.ailing--;
      undo();
    }, ms);
  }

  watch(look: () => boolean): void {
    this.watchers.push(look);
  }

  async run(): Promise<Outcome> {
    const { staging, world, arbiter } = this;
    const step = (): void => this.step();
    if (!(await world.run(() => staging.over, step, MOST_STEPS))) this.broken('I5: the migration does not end');
    await world.run(() => !this.expecting, step, STEPS_AFTER_THE_END);
    this.expecting = false;
    await this.rest(step);
    await this.close(step);
    this.invariants.end();
    for (const what of arbiter.leftovers()) this.broken(`MG34: left over: ${what}`);
    const { report, end } = staging;
    return {
      commitWaited: arbiter.hasLetCommitWait,
      end: `${report?.cause ?? report?.outcome ?? 'source killed'} / ${end === null ? 'target killed' : end.outcome === 'completed' ? 'completed' : end.cause} / ${arbiter.owner}`,
    };
  }

  /** Everything heals, and the owner's port comes back. I2, I4: frames reach the guest again, in both directions. */
  private async rest(step: () => void): Promise<void> {
    const { staging, world, arbiter } = this;
    await world.run(() => this.ailing === 0, step, STEPS_TO_REST);
    const lives = (): boolean => !staging.vmIsLost;
    if (!(await world.run(() => (arbiter.isUp && !lives()) || arbiter.isQuiet, step, STEPS_TO_REST))) {
      this.broken(`I2: the ${arbiter.owner} owns the VM at epoch ${arbiter.epoch}, and its port does not come to rest`);
    }
    if (!lives()) return;
    const card = arbiter.cards[arbiter.owner];
    const seen = arbiter.frames.length;
    let last = arbiter.sendLast();
    const executes = arbiter.owner === 'source' || staging.targetVm?.broken.has('alive') !== true;
    const arrived = (): boolean => card.last === last && (arbiter.frames.length > seen || !executes);
    for (let tries = 0; !arrived(); tries++) {
      // A host that slept may not know yet that its connection was ended: what is sent into it is lost.
      if (tries > 0) last = arbiter.sendLast();
      const until = world.clock.now() + PATIENCE_MS;
      await world.run(() => arrived() || world.clock.now() > until, step, STEPS_TO_REST);
      if (tries === MOST_TRIES)
        this.broken(`I4: the guest got frame ${card.last}, and ${last} was sent; ${arbiter.frames.length - seen} of its own frames got out`);
    }
    if (!arbiter.mayHaveLost && card.missed > arbiter.droppedByBounds)
      this.broken(`I4: ${card.missed} frames did not reach the guest, although no connection to the relay broke`);
  }

  /** Every tab is closed, and what it says as it closes arrives. */
  private async close(step: () => void): Promise<void> {
    this.arbiter.closeOwnersPort();
    // Long enough for the relay to notice tabs that went without a word, and to let go of what waited for them.
    const until = this.world.clock.now() + (this.staging.vmIsLost ? 45_000 : 10_000);
    await this.world.run(() => this.world.clock.now() >= until, step, STEPS_TO_REST);
  }

  private step(): void {
    this.watchers = this.watchers.filter((look) => !look());
    this.each();
    const [violation] = this.arbiter.violations;
    if (violation !== undefined) this.broken(violation);
    // A tab that has completed leaves the network, as its worker does.
    if (this.staging.report?.outcome === 'completed' && !this.staging.source.isDead) this.arbiter.sourcePort.dispose();
    this.invariants.step();
  }

  /** The state of each living side. */
  private rows(): Row[] {
    const { source, target, sender, receiver } = this.staging;
    return [
      ...(source.isDead ? [] : [{ side: 'source', state: sender.state() } as const]),
      ...(target.isDead ? [] : [{ side: 'target', state: receiver.state() } as const]),
    ];
  }

  private strike(disturbance: Disturbance): void {
    const { party, trouble } = disturbance;
    const rows = this.rows();
    let counted = false;
    disturbance.strike(this, () => {
      if (!counted) this.coverage.add(rows, party, trouble);
      counted = true;
    });
  }

  private directed({ row, disturbance, atOnce }: Exclude<Plan, string>): () => void {
    const { random } = this.world;
    const lead = leadTo(row).make(this, random);
    let delay = atOnce ? 0 : random.below(5);
    return () => {
      if (!this.expecting) return;
      lead();
      if (!this.rows().some(({ side, state }) => side === row.side && state === row.state)) return;
      if (!disturbance.canStrike(this) || delay-- > 0) return;
      this.expecting = false;
      this.strike(disturbance);
    };
  }

  private anything(kind: Extract<Plan, string>): () => void {
    const { random } = this.world;
    const plan = Array.from({ length: 1 + random.below(4) }, () => ({
      at: random.below(random.chance(0.7) ? 200 : 500),
      trouble: random.chance(0.85) ? random.pick(DISTURBANCES) : random.pick(INNER_FAULTS),
    }));
    if (kind === 'random with a removed tab') plan.push({ at: random.below(200), trouble: random.pick(REMOVED_TABS) });
    if (kind === 'random with a closed tab') plan.push({ at: random.below(200), trouble: random.pick(CLOSED_TABS) });
    if (kind === 'random with a full disk') {
      for (let times = 1 + random.below(2); times > 0; times--) plan.push({ at: random.below(300), trouble: FULL_DISK });
    }
    const handsOver = kind === 'random over a long way' ? this.delaysHandOver() : () => undefined;
    let steps = 0;
    return () => {
      handsOver();
      if (!this.expecting) return;
      for (const { at, trouble } of plan) {
        if (at !== steps) continue;
        if ('party' in trouble) {
          if (trouble.canStrike(this)) this.strike(trouble);
        } else {
          this.world.note(`fault: ${trouble.name}`);
          trouble.strike(this.staging);
        }
      }
      this.expecting = ++steps < 500;
    };
  }

  private delaysHandOver(): () => void {
    const { staging, arbiter, world } = this;
    let done = false;
    return () => {
      if (done || (staging.sender.state() !== 'handing-over' && staging.sender.state() !== 'committing')) return;
      done = true;
      const sockets = arbiter.sockets('source');
      for (const socket of sockets) socket.stalled.add('toServer');
      this.heal(world.random.below(LONGEST_WAY_MS), () => {
        for (const socket of sockets) socket.stalled.delete('toServer');
      });
    };
  }

  private broken(what: string): never {
    throw new Error(`${what}\n${this.arbiter.describe()}\n${this.world.story(STORY_LINES)}`);
  }
}
