/**
 * A migration between hosts that are far apart, in virtual time: every message has its delay, the link has a bandwidth
 * and may lose packets, and the guest works while time passes.
 */
import { disposable, type Disposable } from '../../shared/disposable.ts';
import type { HostId, MigrationId, VmId } from '../../shared/ids.ts';
import { EXPECTED_DEVICE_BYTES } from '../limits.ts';
import { MigrationError } from '../migration-error.ts';
import type { Lane, Link, PageSpace, SourceLease, TargetLease } from '../ports.ts';
import type { MigrationProgress, MigrationReport } from '../report.ts';
import { startReceiver } from '../receiver.ts';
import { startSender, type SenderOptions } from '../sender.ts';
import { runLengthCompressor, testPageHash } from './codecs.ts';
import { ModelArbiter } from './model-arbiter.ts';
import { ModelVm, type Write } from './model-vm.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { VirtualClock } from './virtual-clock.ts';
import { settle, World } from './world.ts';

/** A link and the ways to the relay. */
export interface Distance {
  readonly roundTripMs: number;
  readonly bytesPerSecond: number;
  /** Share of the packets that are lost and sent again. */
  readonly loss?: number;
}

export interface JourneyOptions extends SenderOptions, Distance {
  readonly seed?: number;
  /** What the guest writes in each millisecond of its life. */
  readonly writes: (ms: number) => readonly Write[];
  /** How many RAM pages differ from the base when the migration begins. */
  readonly used?: number;
}

export interface Journey {
  readonly report: MigrationReport;
  readonly log: readonly string[];
  readonly progress: readonly MigrationProgress[];
  /** The smallest share of the CPU that the guest was left with. */
  readonly leastCpu: number;
  /** The last pause that was expected before the switchover. */
  readonly expectedPauseMs: number;
}

const SPACE: PageSpace = { ramPages: 6000, videoPages: 4, diskPages: 20 };
const USED_PAGES = 800;
/** Words written in a page that a program used: as runs, 1.4 KB, which is what zstd makes of a page of a real guest. */
export const WORKED_WORDS = 180;
const PACKET_BYTES = 1200;
/** A lost packet that no later packet reveals is sent again after this time (SCTP in browsers: 400 ms at least). */
const RETRANSMISSION_MS = 400;
/** How long one action of an event loop takes. */
const ACTION_MS = 0.2;
/** Simulated time in which everything must have ended. */
const LIMIT_MS = 120_000;
/** Sending waits when this many bytes are queued for the wire. */
const HIGH_WATER_BYTES = 256 * 1024;

export async function travel(options: JourneyOptions): Promise<Journey> {
  const world = new World(options.seed ?? 1);
  const source = world.addHost('source');
  const target = world.addHost('target', 55_555);
  const relay = world.addHost('relay');
  const arbiter = new ModelArbiter(world, relay);
  const guest = { random: world.random, space: SPACE, writes: options.writes };
  const sourceVm = ModelVm.running({ ...guest, host: source }, 1);
  sourceVm.touch(1, options.used ?? USED_PAGES);
  const words = new Uint32Array(sourceVm.memory.buffer);
  for (let page = 1; page < (options.used ?? USED_PAGES); page++) {
    for (let word = 0; word < WORKED_WORDS; word++) words[page * 1024 + word] = world.random.below(2 ** 31);
  }
  const saveDevices = sourceVm.saveDevices.bind(sourceVm);
  sourceVm.saveDevices = async () => devicesOnWire(world.random, await saveDevices());
  arbiter.plug('source', sourceVm);
  let targetVm: ModelVm | null = null;
  const [here, there] = distantLink(world.clock, world.random, options);
  const log: string[] = [];
  const progress: MigrationProgress[] = [];
  let leastCpu = 1;
  const throttle = sourceVm.throttle.bind(sourceVm);
  sourceVm.throttle = (fraction) => {
    leastCpu = Math.min(leastCpu, fraction);
    throttle(fraction);
  };
  const migrationId = 'm-1' as MigrationId;
  const way = options.roundTripMs / 2;
  const common = { compressor: runLengthCompressor, pageHash: testPageHash };
  const receiver = startReceiver({
    ...common,
    migrationId,
    link: there,
    clock: target.clock,
    nextTask: target.nextTask,
    prepare: async () => {
      targetVm = new ModelVm({ ...guest, host: target });
      arbiter.plug('target', targetVm);
      return Promise.resolve(targetVm);
    },
    lease: async () => Promise.resolve(distantTargetLease(world.clock, way, arbiter.targetLease(target))),
  });
  const sender = startSender({
    ...common,
    vm: sourceVm,
    lease: distantSourceLease(world.clock, way, arbiter.sourceLease(source)),
    link: here,
    clock: source.clock,
    nextTask: source.nextTask,
    options,
    offer: { migrationId, vmId: 'vm-1' as VmId, from: 'a' as HostId, to: 'b' as HostId, memoryBytes: 1, extra: null },
    onProgress: (now) => progress.push(now),
    onLog: (sentence) => {
      log.push(sentence);
      world.note(sentence);
    },
  });
  const end: { report: MigrationReport | null; target: boolean } = { report: null, target: false };
  void sender.done.then((report) => (end.report = report));
  void receiver.done.then(() => (end.target = true));

  const running = (): ModelVm[] => [sourceVm, targetVm].filter((vm): vm is ModelVm => vm?.running === true && !vm.discarded);
  let nextStep = world.clock.now() + 1;
  while ((end.report === null || !end.target) && world.clock.now() < LIMIT_MS) {
    await settle();
    const actions = [source, target, relay].flatMap((host) =>
      host
        .possible()
        .filter(({ action }) => action.idle !== true)
        .slice(0, 1),
    );
    if (world.clock.now() >= nextStep) {
      nextStep += 1;
      for (const vm of running()) vm.step();
    } else if (world.clock.nextAt !== null && world.clock.nextAt <= world.clock.now()) {
      world.clock.fireNext();
    } else if (actions.length > 0) {
      // Each host has a processor of its own.
      world.clock.pass(Math.min(ACTION_MS, nextStep - world.clock.now()));
      for (const { action } of actions) action.run();
    } else {
      world.clock.pass(nextStep - world.clock.now());
    }
  }
  const { report } = end;
  if (report === null) throw new Error(`It has not ended after ${LIMIT_MS} ms: ${world.story()}\n${JSON.stringify(progress.at(-1))}`);
  const expectedPauseMs = progress.findLast(({ phase }) => phase === 'hold')?.expectedPauseMs ?? Number.NaN;
  return { report, log, progress, leastCpu, expectedPauseMs };
}

/** The state, as large on the wire as EXPECTED_DEVICE_BYTES: those bytes do not compress. */
function devicesOnWire(random: SeededRandom, state: Uint8Array): Uint8Array {
  const large = new Uint8Array(EXPECTED_DEVICE_BYTES);
  large.forEach((_, index) => (large[index] = random.below(256)));
  large.set(state.subarray(0, 4));
  return large;
}

/** One direction of the wire: both lanes share its bandwidth. */
class Wire {
  private readonly distance: Distance;
  private readonly random: SeededRandom;
  private freeAt = 0;

  constructor(distance: Distance, random: SeededRandom) {
    this.distance = distance;
    this.random = random;
  }

  /** When the last bit of a message has left, and when it arrives. */
  carry(now: number, bytes: number): { readonly left: number; readonly arrives: number } {
    const { roundTripMs, bytesPerSecond, loss = 0 } = this.distance;
    const packets = Math.ceil(bytes / PACKET_BYTES);
    // Reno's bound: the rate that congestion control allows with these losses, whatever the wire could carry.
    const bound = loss === 0 ? Number.POSITIVE_INFINITY : (1.22 * PACKET_BYTES * 1000) / (Math.max(roundTripMs, 1) * Math.sqrt(loss));
    this.freeAt = Math.max(this.freeAt, now) + (bytes * 1000) / Math.min(bytesPerSecond, bound);
    let late = 0;
    for (let packet = 0; packet < packets; packet++) {
      if (this.random.chance(loss)) late = Math.max(late, packet < packets - 3 ? roundTripMs : RETRANSMISSION_MS);
    }
    return { left: this.freeAt, arrives: this.freeAt + roundTripMs / 2 + late };
  }
}

class DistantLane implements Lane {
  peer: DistantLane | null = null;
  private readonly clock: VirtualClock;
  private readonly wire: Wire;
  private readonly messageListeners = new Set<(message: Uint8Array) => void>();
  private readonly closeListeners = new Set<(reason: string) => void>();
  private early: Uint8Array[] = [];
  private waiters: (() => void)[] = [];
  private waiting = 0;
  private lastArrival = 0;
  private closed = false;

  constructor(clock: VirtualClock, wire: Wire) {
    this.clock = clock;
    this.wire = wire;
  }

  send(message: Uint8Array): void {
    if (this.closed) throw new MigrationError('link-failed');
    const { left, arrives } = this.wire.carry(this.clock.now(), message.length);
    this.waiting += message.length;
    this.clock.setTimeout(() => {
      this.waiting -= message.length;
      for (const waiter of this.waiters.splice(0)) waiter();
    }, left - this.clock.now());
    this.arrival(arrives, () => this.peer?.arrived(message));
  }

  async writable(): Promise<void> {
    while (!this.closed && this.waiting >= HIGH_WATER_BYTES) await new Promise<void>((resolve) => this.waiters.push(resolve));
    if (this.closed) throw new MigrationError('link-failed');
  }

  onMessage(listener: (message: Uint8Array) => void): Disposable {
    this.messageListeners.add(listener);
    for (const message of this.early.splice(0)) listener(message);
    return disposable(() => this.messageListeners.delete(listener));
  }

  onClose(listener: (reason: string) => void): Disposable {
    this.closeListeners.add(listener);
    return disposable(() => this.closeListeners.delete(listener));
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.arrival(this.wire.carry(this.clock.now(), 1).arrives, () => this.peer?.otherClosed());
  }

  private arrival(at: number, happen: () => void): void {
    this.lastArrival = Math.max(this.lastArrival, at);
    this.clock.setTimeout(happen, this.lastArrival - this.clock.now());
  }

  private arrived(message: Uint8Array): void {
    if (this.messageListeners.size === 0) this.early.push(message);
    for (const listener of [...this.messageListeners]) listener(message);
  }

  private otherClosed(): void {
    if (this.closed) return;
    this.closed = true;
    for (const listener of [...this.closeListeners]) listener('The other host closed the connection.');
  }
}

function distantLink(clock: VirtualClock, random: SeededRandom, distance: Distance): [Link, Link] {
  const wires = [new Wire(distance, random), new Wire(distance, random)] as const;
  const pair = (): [DistantLane, DistantLane] => {
    const lanes: [DistantLane, DistantLane] = [new DistantLane(clock, wires[0]), new DistantLane(clock, wires[1])];
    lanes[0].peer = lanes[1];
    lanes[1].peer = lanes[0];
    return lanes;
  };
  const control = pair();
  const bulk = pair();
  const end = (side: 0 | 1): Link => ({
    kind: 'webrtc',
    control: control[side],
    bulk: bulk[side],
    close() {
      control[side].close();
      bulk[side].close();
    },
  });
  return [end(0), end(1)];
}

function after(clock: VirtualClock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.setTimeout(resolve, ms));
}

/** Asks over a network path of `ms` in each direction. */
async function far<T>(clock: VirtualClock, ms: number, ask: () => Promise<T>): Promise<T> {
  await after(clock, ms);
  try {
    return await ask();
  } finally {
    await after(clock, ms);
  }
}

function distantSourceLease(clock: VirtualClock, ms: number, lease: SourceLease): SourceLease {
  return {
    epoch: lease.epoch,
    hold: () => far(clock, ms, () => lease.hold()),
    drained: () => far(clock, ms, () => lease.drained()),
    release: () => far(clock, ms, () => lease.release()),
    abort: () => far(clock, ms, () => lease.abort()),
    onOutcome: (listener) => lease.onOutcome((outcome) => void clock.setTimeout(() => listener(outcome), ms)),
    onWaiting: (listener) => lease.onWaiting(listener),
  };
}

function distantTargetLease(clock: VirtualClock, ms: number, lease: TargetLease): TargetLease {
  return {
    probe: async () => (await far(clock, ms, () => lease.probe())) + 2 * ms,
    commit: () => far(clock, ms, () => lease.commit()),
    alive: () => far(clock, ms, async () => lease.alive()),
    onRevoked: (listener) => lease.onRevoked(() => void clock.setTimeout(listener, ms)),
    dispose: () => lease.dispose(),
  };
}
