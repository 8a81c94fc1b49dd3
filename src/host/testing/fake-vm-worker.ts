/**
 * A VM's worker as the page sees it: says what the real one says, in its order, at moments that a seeded schedule
 * chooses. Two of them migrate a ModelVm between each other. It can end at any moment, as a worker can.
 */
import type { SeededRandom } from '../../migration/testing/seeded-random.ts';
import type { MigrationPhase, MigrationReport } from '../../migration/report.ts';
import type { HostId, MigrationId } from '../../shared/ids.ts';
import type { FromVmWorker, GuestEnd, ToVmWorker, VmIdentity } from '../../vm-host/vm-worker-messages.ts';
import type { ModelVm } from './model-guest.ts';

type Migrate = Extract<ToVmWorker, { type: 'migrate' }>;

/** How long each phase of a migration may take, in milliseconds. */
const PHASES: readonly (readonly [MigrationPhase, number])[] = [['offer', 40], ['prepare', 100], ['rounds', 600], ['hold', 40], ['switchover', 60], ['commit', 60]];
/** A worker's word takes up to this long to reach the page. */
const WORD_MS = 5;
const GIVE_BACK_MS = 2000;
const POWERED_OFF: GuestEnd = { reason: 'The guest powered off.', orderly: true };

export interface FakeWorkerWorld {
  readonly random: SeededRandom;
  readonly host: HostId;
  /** The VM of this id. */
  readonly vm: (vmId: string) => ModelVm;
  /** Workers that wait for a migration. */
  readonly arrivals: Map<MigrationId, FakeVmWorker>;
  /** The relay's list of VMs is another one. */
  readonly leaseMoved: () => void;
  /** Its engines cannot be loaded: no migration can be begun. */
  readonly withoutEngines: boolean;
}

export class FakeVmWorker {
  onmessage: ((event: { data: FromVmWorker }) => void) | null = null;
  onerror: ((event: { message: string; preventDefault: () => void }) => void) | null = null;
  onmessageerror: (() => void) | null = null;
  ended = false;
  /** The VM, once it is known. */
  vm: ModelVm | null = null;
  private readonly world: FakeWorkerWorld;
  private identity: VmIdentity | null = null;
  private moving: { readonly order: Migrate; phase: MigrationPhase } | null = null;
  private lastOrderAt = 0;
  private lastWordAt = 0;
  private lives = false;
  private proving = false;
  private off = false;

  constructor(world: FakeWorkerWorld) {
    this.world = world;
  }

  postMessage(message: ToVmWorker): void {
    const at = Math.max(this.lastOrderAt, Date.now() + this.world.random.next() * WORD_MS);
    this.lastOrderAt = at;
    setTimeout(() => {
      if (!this.ended) this.heard(message);
    }, at - Date.now());
  }

  terminate(): void {
    this.ended = true;
    if (this.vm?.runsIn === this) this.vm.runsIn = null;
  }

  /** The VM lives here, or is about to, and the page does not know it yet. */
  get isProving(): boolean {
    return this.proving;
  }

  /** An exception that nobody caught. */
  crash(): void {
    if (this.ended) return;
    this.terminate();
    setTimeout(() => this.onerror?.({ message: 'boom', preventDefault: () => undefined }), 1);
  }

  /** The guest powered off, as its CPU runs here. */
  poweredOff(): void {
    if (this.off) return;
    this.off = true;
    if (this.vm?.runsIn === this) this.vm.runsIn = null;
    const { moving } = this;
    this.later(moving === null ? 0 : 60, () => {
      if (moving !== null) this.report(moving.order, 'failed', 'vm-ended', 'The VM was powered off before it could be moved.');
      this.say({ type: 'ended', ...POWERED_OFF });
    });
  }

  private heard(message: ToVmWorker): void {
    switch (message.type) {
      case 'start':
        this.identity = message.vm;
        this.vm = this.world.vm(message.vm.vmId);
        this.later(300, () => {
          this.runHere();
          this.say({ type: 'running', epoch: message.epoch });
        });
        break;
      case 'receive':
        if (this.world.withoutEngines) this.say({ type: 'not-arrived', cause: 'prepare-failed', reason: 'The engines could not be loaded.' });
        else this.world.arrivals.set(message.migrationId, this);
        break;
      case 'migrate':
        this.moving = { order: message, phase: 'offer' };
        if (this.world.withoutEngines) this.report(message, 'failed', 'internal', 'The engines could not be loaded.');
        else this.step(message, 0);
        break;
      case 'cancel':
        this.cancel();
        break;
      default:
        break;
    }
  }

  private step(order: Migrate, at: number): void {
    const [phase, longest] = PHASES[at] ?? ['done', 0];
    const { moving } = this;
    if (moving === null || this.off) return;
    moving.phase = phase;
    this.progress(order, phase);
    if (phase === 'switchover' && this.vm !== null) this.vm.runsIn = null;
    this.later(longest, () => {
      if (this.moving !== moving || this.off) return;
      const target = this.world.arrivals.get(order.migrationId);
      if (phase === 'commit') this.commit(order, target);
      else if (target === undefined || target.ended) this.stay(order, 'failed', 'link-failed', 'The connection between the two hosts broke. Try again.');
      else this.step(order, at + 1);
    });
  }

  private commit(order: Migrate, target: FakeVmWorker | undefined): void {
    const { vm, identity } = this;
    if (vm === null || identity === null) return;
    if (target === undefined || target.ended || !vm.commit(this.world.host, order.to, order.migrationId)) {
      this.stay(order, 'failed', 'link-failed', 'The connection between the two hosts broke. Try again.');
      return;
    }
    this.world.leaseMoved();
    target.arrive(vm, identity);
    const settled = (): void => {
      if (!target.lives) {
        // The relay gives the VM back; the source has kept its copy.
        setTimeout(() => {
          vm.giveBack(this.world.host, order.to, order.migrationId);
          this.world.leaseMoved();
          if (!this.ended) this.stay(order, 'failed', 'target-silent', 'The target took the VM over and gave no sign of life.');
        }, GIVE_BACK_MS);
        return;
      }
      this.later(20, () => this.report(order, 'completed'));
    };
    setTimeout(settled, 80);
  }

  private arrive(vm: ModelVm, identity: VmIdentity): void {
    this.vm = vm;
    this.identity = identity;
    this.later(60, () => {
      this.lives = true;
      this.proving = true;
      setTimeout(() => (this.proving = false), WORD_MS + 1);
      this.say({ type: 'console-continues', scrollback: new Uint8Array(), printed: 0 });
      this.say({ type: 'arrived', vm: identity, epoch: vm.epoch });
      this.runHere();
    });
  }

  private cancel(): void {
    const { moving } = this;
    if (moving === null || this.off) return;
    // Once the commit may be on its way, the relay's word decides: it goes on to its end.
    if (moving.phase === 'commit') return;
    this.stay(moving.order, 'cancelled', 'cancelled', 'The migration was cancelled.');
  }

  /** The migration ends, and the VM runs on here. */
  private stay(order: Migrate, outcome: 'cancelled' | 'failed', cause: 'cancelled' | 'link-failed' | 'target-silent', reason: string): void {
    if (this.moving?.order !== order) return;
    const target = this.world.arrivals.get(order.migrationId);
    this.world.arrivals.delete(order.migrationId);
    if (target !== undefined && !target.ended) target.later(100, () => target.say({ type: 'not-arrived', cause, reason }));
    this.report(order, outcome, cause, reason);
    this.runHere();
  }

  private runHere(): void {
    if (this.vm === null) return;
    this.vm.runsIn = this;
    if (this.vm.poweringOff) this.poweredOff();
  }

  private progress({ migrationId, to }: Migrate, phase: MigrationPhase): void {
    if (this.vm === null) return;
    this.say({ type: 'progress', progress: {
      id: migrationId, vmId: this.vm.id, from: this.world.host, to, phase, round: 1, pagesLeft: 1, pagesSent: 1, bytesSent: 1, bytesPerSecond: 1, expectedPauseMs: 1,
    } });
  }

  private report({ migrationId, to }: Migrate, outcome: MigrationReport['outcome'], cause?: MigrationReport['cause'], reason?: string): void {
    if (this.vm === null || this.moving === null) return;
    this.moving = null;
    this.say({ type: 'report', guestEnd: this.off ? POWERED_OFF : null, epoch: this.vm.epoch, report: {
      id: migrationId, vmId: this.vm.id, from: this.world.host, to, outcome, ...(cause === undefined ? {} : { cause }), ...(reason === undefined ? {} : { reason }),
      rounds: [], pauseMs: 1, downtime: null, totalMs: 1, bytesOnWire: 1, memoryBytes: 1, link: 'relay', verified: null,
    } });
  }

  private later(longest: number, work: () => void): void {
    setTimeout(() => {
      if (!this.ended) work();
    }, this.world.random.next() * longest);
  }

  /** Words arrive in the order they are said. */
  private say(message: FromVmWorker): void {
    const at = Math.max(this.lastWordAt, Date.now() + this.world.random.next() * WORD_MS);
    this.lastWordAt = at;
    setTimeout(() => {
      if (!this.ended) this.onmessage?.({ data: message });
    }, at - Date.now());
  }
}
