/**
 * A minimal model of the relay's part in a migration: who owns the VM, at which epoch, and how far the switchover is.
 * Requests and answers take time; while the relay is down they wait.
 */
import type { LeaseEpoch } from '../../shared/ids.ts';
import { disposable, type Disposable } from '../../shared/disposable.ts';
import { Emitter } from '../../shared/emitter.ts';
import { MigrationError } from '../migration-error.ts';
import type { LeaseOutcome, SourceLease, TargetLease } from '../ports.ts';
import type { Arbiter, Owner, SeenFrame } from './arbiter.ts';
import type { ModelVm } from './model-vm.ts';
import type { Host, World } from './world.ts';

/** The relay takes a VM back if its target gave no sign of life for this long. */
export const TAKE_BACK_MS = 2000;

export class ModelArbiter implements Arbiter {
  owner: Owner = 'source';
  epoch = 1;
  phase: 'idle' | 'held' | 'drained' | 'committed' = 'idle';
  readonly frames: SeenFrame[] = [];
  framesRefused = 0;
  /** Breaks the next commit for the target: before or after the relay recorded it. */
  loseCommit: 'before' | 'after' | null = null;
  onCommit: () => void = () => undefined;
  tookBack = false;
  /** A commit that came before `drained`. */
  private commitWaits: (() => void) | null = null;
  private readonly world: World;
  private readonly host: Host;
  private readonly open = { source: 0, target: 0 };
  private readonly outcome = new Emitter<LeaseOutcome>();
  private readonly waiting = new Emitter<string | null>();
  private readonly revoked = new Emitter<void>();

  constructor(world: World, host: Host) {
    this.world = world;
    this.host = host;
  }

  plug(side: Owner, vm: ModelVm): void {
    vm.onStep = (counter) => this.frame(side, counter);
  }

  /** A frame arrives from one of the copies: only the owner's reaches the network. */
  frame(from: Owner, counter: number): void {
    if (from !== this.owner) {
      this.framesRefused++;
      return;
    }
    if (from === 'target') this.targetLives();
    this.frames.push({ from, owner: this.owner, counter });
  }

  sourceLease(host: Host): SourceLease {
    const told = new Emitter<LeaseOutcome>();
    this.outcome.on((outcome) => host.defer(`hears that the ${outcome.owner} owns the VM`, () => told.emit(outcome)));
    return {
      epoch: 1 as LeaseEpoch,
      hold: () =>
        this.request(host, 'hold', () => {
          if (this.phase === 'idle') this.phase = 'held';
        }),
      drained: () =>
        this.request(host, 'drained', () => {
          if (this.phase === 'held') this.leaveHold('drained');
        }),
      release: () =>
        this.request(host, 'release', () => {
          if (this.phase === 'held') this.leaveHold('idle');
        }),
      abort: () =>
        this.request(host, 'abort', () => {
          if (this.owner === 'source') this.leaveHold('idle');
          return { owner: this.owner, epoch: this.epoch as LeaseEpoch };
        }),
      onOutcome: (listener) => this.counted('source', told, listener),
      onWaiting: (listener) => this.waiting.on(listener),
    };
  }

  targetLease(host: Host): TargetLease {
    const told = new Emitter<void>();
    this.revoked.on(() => host.defer('hears that the VM was given back', () => told.emit()));
    return {
      probe: async () => {
        const askedAt = host.clock.now();
        await this.request(host, 'probe', () => undefined);
        return host.clock.now() - askedAt;
      },
      commit: () => this.commit(host),
      alive: () =>
        this.request(host, 'alive', () => {
          if (this.owner !== 'target') throw new MigrationError('commit-refused', 'The VM was given back before.');
          this.targetLives();
        }),
      onRevoked: (listener) => this.counted('target', told, listener),
      dispose: () => undefined,
    };
  }

  get sourceListeners(): number {
    return this.open.source + this.waiting.listenerCount;
  }

  get targetListeners(): number {
    return this.open.target;
  }

  private counted<T>(side: Owner, emitter: Emitter<T>, listener: (value: T) => void): Disposable {
    const subscription = emitter.on(listener);
    this.open[side]++;
    return disposable(() => {
      this.open[side]--;
      subscription.dispose();
    });
  }

  private async commit(host: Host): Promise<LeaseEpoch> {
    const lost = this.loseCommit;
    if (lost === 'before') throw new MigrationError('relay-lost');
    const grant = (): LeaseEpoch => {
      if (this.owner !== 'source' || this.phase !== 'drained') throw new MigrationError('commit-refused', 'The source has not handed the VM over.');
      this.owner = 'target';
      this.epoch++;
      this.phase = 'committed';
      this.world.note('the lease moves to the target');
      this.onCommit();
      this.host.clock.setTimeout(() => this.takeBack(), TAKE_BACK_MS);
      return this.epoch as LeaseEpoch;
    };
    const epoch = await this.request(host, 'commit', grant, () => this.phase === 'held');
    if (lost === 'after') throw new MigrationError('relay-lost');
    return epoch;
  }

  /** A frame counts as much as `alive` itself: what the world has seen cannot be taken back. */
  private targetLives(): void {
    if (this.phase !== 'committed') return;
    this.phase = 'idle';
    this.outcome.emit({ owner: 'target', epoch: this.epoch as LeaseEpoch });
  }

  private takeBack(): void {
    if (this.phase !== 'committed') return;
    this.owner = 'source';
    this.epoch++;
    this.phase = 'idle';
    this.tookBack = true;
    this.world.note('the relay gives the VM back to the source');
    this.revoked.emit();
    this.outcome.emit({ owner: 'source', epoch: this.epoch as LeaseEpoch });
  }

  private leaveHold(phase: 'drained' | 'idle'): void {
    this.phase = phase;
    const { commitWaits } = this;
    this.commitWaits = null;
    commitWaits?.();
  }

  /** The request reaches the relay, which performs it, at the end of the hold if it `waits`; then the answer reaches the host. Both take time. */
  private request<T>(from: Host, what: string, grant: () => T, waits: () => boolean = () => false): Promise<T> {
    return new Promise((resolve, reject) => {
      const perform = (): void => {
        try {
          const answer = grant();
          from.defer(`hears the answer to ${what}`, () => resolve(answer));
        } catch (error) {
          from.defer(`hears that ${what} is refused`, () => reject(error instanceof Error ? error : new Error(String(error))));
        }
      };
      this.host.defer(`does ${what} for ${from.name}`, () => {
        if (waits()) this.commitWaits = perform;
        else perform();
      });
    });
  }
}
