/**
 * A VM whose worker lives in this tab: one that runs here, or one that is arriving. Owns the worker; what the worker
 * says is told to the tab through `LocalVmEvents`.
 */
import type { LinkKind, MigrationProgress, MigrationReport } from '../migration/report.ts';
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../shared/ids.ts';
import type { HandOver } from './host-links.ts';
import type { MigrateOptions } from './scripting-interface.ts';
import { VmHandle } from './vm-handle.ts';
import type { FromVmWorker, ToVmWorker, VmIdentity } from './vm-worker-messages.ts';

export interface LocalVmEvents {
  output(vm: LocalVm, data: Uint8Array): void;
  running(vm: LocalVm): void;
  consoleContinues(vm: LocalVm, scrollback: Uint8Array, printed: number): void;
  arrived(vm: LocalVm): void;
  /** The VM stays where it was; `unsentInput` was typed for it here and belongs to its owner. */
  notArrived(vm: LocalVm, reason: string, unsentInput: string): void;
  progress(vm: LocalVm, progress: MigrationProgress): void;
  /** The migration ended; after `completed` this VM is disposed, and `unsentInput` belongs to the target's console. */
  migrated(vm: LocalVm, report: MigrationReport, unsentInput: string): void;
  /** The migration's link died and its source, this VM, wants another. */
  linkWanted(vm: LocalVm, attempt: number, avoid: LinkKind): void;
  log(vm: LocalVm, level: 'info' | 'good' | 'bad', text: string): void;
  waiting(vm: LocalVm, what: string | null): void;
  /** The guest ended by itself; `orderly` if it powered off. */
  ended(vm: LocalVm, reason: string, orderly: boolean): void;
  failed(vm: LocalVm, reason: string): void;
}

export type LocalVmState =
  | { readonly kind: 'starting'; readonly identity: VmIdentity; readonly epoch: LeaseEpoch }
  | { readonly kind: 'running'; readonly identity: VmIdentity; readonly epoch: LeaseEpoch }
  | { readonly kind: 'migrating'; readonly identity: VmIdentity; readonly epoch: LeaseEpoch; readonly migrationId: MigrationId; readonly to: HostId }
  | { readonly kind: 'arriving'; readonly migrationId: MigrationId; readonly from: HostId }
  | { readonly kind: 'gone' };

export class LocalVm {
  readonly vmId: VmId;
  state: LocalVmState;
  waitingFor: string | null = null;
  /** The guest's output comes from this tab's worker: from the moment an arriving VM has all its state, before the tab hears that it runs. */
  printsHere: boolean;
  private readonly handle: VmHandle;
  private readonly events: LocalVmEvents;
  /** While the VM moves: what was typed at the source since then, or at the target before it runs there. */
  private typed: string[] = [];
  private arrivalWaiters: (() => void)[] = [];
  private cancelRefusals: ((refusal: string | null) => void)[] = [];

  constructor(vmId: VmId, state: LocalVmState, spawn: () => Worker, prepare: ToVmWorker, events: LocalVmEvents) {
    this.vmId = vmId;
    this.state = state;
    this.printsHere = state.kind !== 'arriving';
    this.events = events;
    this.handle = new VmHandle(spawn, `tabmotion-vm-${vmId}`);
    this.handle.messages.on((message) => this.heard(message));
    this.handle.post(prepare);
    if (state.kind === 'starting') this.handle.post({ type: 'start', vm: state.identity, epoch: state.epoch });
  }

  /** This tab is the target: hands the link's ends to the worker. */
  receive(from: HostId, migrationId: MigrationId): HandOver {
    return (ends) => this.handle.post({ type: 'receive', migrationId, from, ends });
  }

  /** This tab is the source: hands the link's ends to the worker and with them starts the migration. */
  migrate(to: HostId, migrationId: MigrationId, options: MigrateOptions): HandOver {
    return (ends) => {
      this.typed = [];
      this.handle.post({ type: 'migrate', migrationId, to, options, ends });
    };
  }

  /** Either side: hands the ends of a migration's next link to the worker. */
  nextLink(attempt: number): HandOver {
    return (ends) => this.handle.post({ type: 'next-link', attempt, ends });
  }

  noLink(reason: string): void {
    this.handle.post({ type: 'no-link', reason });
  }

  /** Resolves with null if the migration will be cancelled, or with a sentence why it is too late. */
  cancel(): Promise<string | null> {
    if (this.state.kind !== 'migrating') return Promise.resolve('This VM is not being moved.');
    return new Promise((resolve) => {
      this.cancelRefusals.push(resolve);
      this.handle.post({ type: 'cancel' });
    });
  }

  /** Resolves once the arriving VM runs here or will not; null for any other. */
  arrival(): Promise<void> | null {
    return this.state.kind === 'arriving' ? new Promise((resolve) => this.arrivalWaiters.push(resolve)) : null;
  }

  /** What is typed while the VM moves reaches the guest once, wherever it runs then. */
  write(data: string): void {
    if (this.state.kind === 'arriving' || this.state.kind === 'migrating') this.typed.push(data);
    if (this.state.kind !== 'arriving') this.handle.post({ type: 'console-input', data });
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

  dispose(): void {
    this.state = { kind: 'gone' };
    this.answerCancels('The VM is no longer here.');
    this.arrivalOver();
    this.handle.dispose();
  }

  private heard(message: FromVmWorker): void {
    switch (message.type) {
      case 'prepared':
        break;
      case 'running':
        if (this.state.kind === 'starting') this.state = { ...this.state, kind: 'running' };
        this.events.running(this);
        break;
      case 'console':
        this.events.output(this, message.data);
        break;
      case 'console-continues':
        this.printsHere = true;
        this.events.consoleContinues(this, message.scrollback, message.printed);
        break;
      case 'progress':
        this.events.progress(this, message.progress);
        break;
      case 'report':
        this.reported(message.report, message.unsentInput, message.inputsHeard, message.epoch as LeaseEpoch);
        break;
      case 'arrived':
        this.state = { kind: 'running', identity: message.vm, epoch: message.epoch as LeaseEpoch };
        for (const data of this.typed.splice(0)) this.write(data);
        this.events.arrived(this);
        this.arrivalOver();
        break;
      case 'not-arrived':
        this.events.notArrived(this, message.reason, this.typed.splice(0).join(''));
        break;
      case 'cancel-refused':
        this.answerCancels(message.reason);
        break;
      case 'link-wanted':
        this.events.linkWanted(this, message.attempt, message.avoid);
        break;
      case 'log':
        this.events.log(this, message.level, message.text);
        break;
      case 'waiting':
        this.waitingFor = message.what;
        this.events.waiting(this, message.what);
        break;
      case 'ended':
        this.events.ended(this, message.reason, message.orderly);
        break;
      case 'failed':
        this.events.failed(this, message.reason);
        break;
    }
  }

  private reported(report: MigrationReport, unsentInWorker: string, inputsHeard: number, epoch: LeaseEpoch): void {
    const unsentInput = unsentInWorker + this.typed.splice(0).slice(inputsHeard).join('');
    if (report.outcome !== 'completed' && this.state.kind === 'migrating') {
      this.state = { kind: 'running', identity: this.state.identity, epoch };
    }
    this.answerCancels(report.outcome === 'completed' ? 'It was too late to cancel: the VM runs on the other host already.' : null);
    this.events.migrated(this, report, unsentInput);
  }

  private arrivalOver(): void {
    for (const waiter of this.arrivalWaiters.splice(0)) waiter();
  }

  private answerCancels(refusal: string | null): void {
    for (const answer of this.cancelRefusals.splice(0)) answer(refusal);
  }
}
