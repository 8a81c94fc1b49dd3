/**
 * A VM whose worker lives in this tab: it runs here, or it is arriving. Owns the worker and its own state; passes on what
 * the worker says to the tab through `LocalVmEvents`. When the worker ends, `end()` settles everything that waits for
 * the worker.
 */
import { CAUSE_SENTENCES } from '../migration/migration-error.ts';
import type { MigrationProgress, MigrationReport } from '../migration/report.ts';
import { settlable } from '../migration/settlable.ts';
import type { Clock } from '../shared/clock.ts';
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../shared/ids.ts';
import type { InputPiece } from '../vm-host/console-inbox.ts';
import { Departure, type DepartureOrder, type OpenLink } from './departure.ts';
import type { HandOver } from './host-links.ts';
import type { VmHandle } from './vm-handle.ts';
import type { ConsoleSize, FromVmWorker, GuestEnd, RelayAccess, VmIdentity } from '../vm-host/vm-worker-messages.ts';

export interface LocalVmEvents {
  output(vm: LocalVm, data: Uint8Array): void;
  /** The guest has been given `count` bytes of what `writer` typed. */
  inputApplied(vm: LocalVm, writer: HostId, count: number): void;
  running(vm: LocalVm): void;
  consoleContinues(vm: LocalVm, scrollback: Uint8Array, printed: number): void;
  arrived(vm: LocalVm, from: HostId | null): void;
  progress(vm: LocalVm, progress: MigrationProgress): void;
  /** A migration of this VM did not take place, and it keeps running here. Told before those who wait for the migration. */
  stayed(vm: LocalVm, report: MigrationReport): void;
  log(vm: LocalVm, level: 'info' | 'good' | 'bad', text: string): void;
  waiting(vm: LocalVm, what: string | null): void;
  /** For the trace: a change of state here, or one that the worker reported. */
  stepped(vm: LocalVm, step: string): void;
  /**
   * The worker has ended; `was` is the state it ended in. Told before those who wait for the VM. Resolves with whether another host has the VM now, as the relay says.
   */
  ended(vm: LocalVm, was: LocalVmState, end: LocalVmEnd): Promise<boolean>;
  /** The VM's worker ended during a migration; `report` says how that migration ended. Told before those who wait for the migration. */
  endedMoving(vm: LocalVm, report: MigrationReport): void;
}

/** Why a worker ended. */
export type LocalVmEnd =
  | { readonly kind: 'moved'; readonly report: MigrationReport }
  /** `report`: of the migration that it was in. */
  | ({ readonly kind: 'guest-ended'; readonly report?: MigrationReport } & GuestEnd)
  | { readonly kind: 'failed' | 'not-arrived' | 'removed'; readonly reason: string; readonly report?: MigrationReport };

export type LocalVmState =
  | { readonly kind: 'starting'; readonly identity: VmIdentity; readonly epoch: LeaseEpoch }
  | { readonly kind: 'running'; readonly identity: VmIdentity; readonly epoch: LeaseEpoch }
  | { readonly kind: 'migrating'; readonly identity: VmIdentity; readonly epoch: LeaseEpoch; readonly departure: Departure }
  | { readonly kind: 'arriving'; readonly migrationId: MigrationId; readonly from: HostId }
  | { readonly kind: 'gone' };

export class LocalVm {
  readonly vmId: VmId;
  private current: LocalVmState;
  private awaited: string | null = null;
  /** The guest's output comes from this tab's worker: from the moment an arriving VM has all its state, before the tab hears that it runs. */
  private prints: boolean;
  private readonly handle: VmHandle;
  private readonly clock: Clock;
  private readonly events: LocalVmEvents;
  /** Resolves with null once the VM runs here, or with the sentence why it will not. */
  private readonly here = settlable<string | null>();

  /** `worker`: prepared, and not used by any VM so far. */
  constructor(vmId: VmId, state: LocalVmState, worker: VmHandle, relay: RelayAccess, events: LocalVmEvents, clock: Clock) {
    this.vmId = vmId;
    this.clock = clock;
    this.current = state;
    this.prints = state.kind !== 'arriving';
    this.events = events;
    this.handle = worker;
    this.handle.isFor(vmId);
    this.handle.messages.on((message) => this.heard(message));
    this.handle.post({ type: 'join', relay });
    events.stepped(this, `here: ${state.kind}`);
    if (state.kind === 'starting') this.handle.post({ type: 'start', vm: state.identity, epoch: state.epoch });
  }

  get state(): LocalVmState {
    return this.current;
  }

  /** What the stopped VM waits for; null if it does not. */
  get waitingFor(): string | null {
    return this.awaited;
  }

  get printsHere(): boolean {
    return this.prints;
  }

  /** This tab is the target: hands the link's ends to the worker. */
  receive(from: HostId, migrationId: MigrationId): HandOver {
    return (ends) => this.handle.post({ type: 'receive', migrationId, from, ends });
  }

  /** This tab is the target: hands the ends of a migration's next link to the worker. */
  nextLink(attempt: number): HandOver {
    return (ends) => this.handle.post({ type: 'next-link', attempt, ends });
  }

  /** Begins to move the running VM away; throws if it does not run. */
  depart(order: DepartureOrder, openLink: OpenLink): Departure {
    const { state } = this;
    if (state.kind !== 'running') throw new Error(`A VM that is ${state.kind} cannot be moved.`);
    const departure = new Departure(
      order,
      openLink,
      {
        begin: (ends) => {
          this.handle.post({ type: 'migrate', migrationId: order.id, to: order.to, options: order.options, ends });
        },
        nextLink: (attempt, ends) => this.handle.post({ type: 'next-link', attempt, ends }),
        noLink: (reason) => this.handle.post({ type: 'no-link', reason }),
        cancel: () => this.handle.post({ type: 'cancel' }),
        targetLeft: () => this.handle.post({ type: 'target-left' }),
        progress: (progress) => this.events.progress(this, progress),
        notBegun: (report) => {
          this.stay(departure, report, state.epoch);
        },
      },
      this.clock,
    );
    this.become({ kind: 'migrating', identity: state.identity, epoch: state.epoch, departure });
    departure.start();
    return departure;
  }

  /** The migration under way from here; null if there is none. */
  get departure(): Departure | null {
    return this.state.kind === 'migrating' ? this.state.departure : null;
  }

  /** Resolves with null once the VM runs here, or with the sentence why it will not. Never rejects. */
  get whenHere(): Promise<string | null> {
    return this.here.promise;
  }

  input(writer: HostId, piece: InputPiece): void {
    this.handle.post({ type: 'console-input', writer, piece });
  }

  resizeConsole({ cols, rows }: ConsoleSize): void {
    this.handle.post({ type: 'console-size', cols, rows });
  }

  attachScreen(canvas: OffscreenCanvas | null): void {
    this.handle.post({ type: 'screen', canvas });
  }

  sendScancodes(codes: readonly number[]): void {
    this.handle.post({ type: 'scancodes', codes });
  }

  sendMouse(dx: number, dy: number, buttons: readonly [boolean, boolean, boolean]): void {
    this.handle.post({ type: 'mouse', dx, dy, buttons });
  }

  /** Ends the worker. */
  remove(reason: string): void {
    this.end({ kind: 'removed', reason });
  }

  private become(next: LocalVmState): void {
    const was = this.current.kind;
    this.current = next;
    this.events.stepped(this, `here: ${was} -> ${next.kind}`);
  }

  private heard(message: FromVmWorker): void {
    switch (message.type) {
      case 'loading':
      case 'loaded':
      case 'prepared':
        break;
      case 'running':
        if (this.state.kind === 'starting') this.become({ ...this.state, kind: 'running' });
        this.events.running(this);
        this.here.resolve(null);
        break;
      case 'console':
        this.events.output(this, message.data);
        break;
      case 'console-applied':
        this.events.inputApplied(this, message.writer, message.count);
        break;
      case 'console-continues':
        this.prints = true;
        this.events.consoleContinues(this, message.scrollback, message.printed);
        break;
      case 'progress':
        this.departure?.progressed(message.progress);
        this.events.progress(this, message.progress);
        break;
      case 'report':
        this.reported(message);
        break;
      case 'arrived': {
        const from = this.state.kind === 'arriving' ? this.state.from : null;
        this.become({ kind: 'running', identity: message.vm, epoch: message.epoch as LeaseEpoch });
        this.events.arrived(this, from);
        this.here.resolve(null);
        break;
      }
      case 'not-arrived':
        this.end({ kind: 'not-arrived', reason: message.reason });
        break;
      case 'link-wanted':
        this.departure?.openNext(message.attempt, message.avoid);
        break;
      case 'unreadable':
        this.departure?.unreadable();
        if (this.state.kind === 'arriving')
          this.end({ kind: 'not-arrived', reason: 'This browser could not hand the connection to the PC. Reload the page and try again.' });
        break;
      case 'log':
        this.events.log(this, message.level, message.text);
        break;
      case 'step':
        this.events.stepped(this, message.step);
        break;
      case 'waiting':
        this.awaited = message.what;
        this.events.waiting(this, message.what);
        break;
      case 'ended':
        this.end({ kind: 'guest-ended', reason: message.reason, orderly: message.orderly });
        break;
      case 'failed':
        this.end({ kind: 'failed', reason: message.reason });
        break;
    }
  }

  private reported({ report, guestEnd, epoch }: Extract<FromVmWorker, { type: 'report' }>): void {
    if (report.outcome === 'completed') this.end({ kind: 'moved', report });
    else if (guestEnd !== null) this.end({ kind: 'guest-ended', ...guestEnd, report });
    else if (report.cause === 'vm-ended') this.end({ kind: 'failed', reason: report.reason ?? CAUSE_SENTENCES['vm-ended'], report });
    else if (this.departure !== null) this.stay(this.departure, report, epoch as LeaseEpoch);
  }

  /** The migration ended, and the VM did not move. */
  private stay(departure: Departure, report: MigrationReport, epoch: LeaseEpoch): void {
    if (this.state.kind !== 'migrating' || this.state.departure !== departure) return;
    this.become({ kind: 'running', identity: this.state.identity, epoch });
    this.events.stayed(this, report);
    departure.finish(report);
  }

  /** The worker has ended, for whatever reason: settles everything that waits for the worker, once. */
  private end(end: LocalVmEnd): void {
    const was = this.state;
    if (was.kind === 'gone') return;
    this.become({ kind: 'gone' });
    this.handle.dispose();
    const elsewhere = this.events.ended(this, was, end);
    this.here.resolve(end.kind === 'moved' ? 'The VM has moved on.' : end.reason);
    if (was.kind !== 'migrating') return;
    const { departure } = was;
    const conclude = (report: MigrationReport): void => {
      this.events.endedMoving(this, report);
      departure.finish(report);
    };
    if (end.kind === 'moved') {
      conclude(end.report);
      return;
    }
    const report = end.report ?? departure.report('vm-ended', end.reason);
    // A worker that failed may have done so after the target took the VM over.
    if (end.kind === 'failed' && departure.inDoubt) void elsewhere.then((moved) => conclude(moved ? departure.arrivedUnseen() : report));
    else conclude(report);
  }
}
