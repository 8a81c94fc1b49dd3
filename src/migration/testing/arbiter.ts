/** What a staged migration needs from its arbiter, which is either the model or the relay itself. */
import type { MigrationId } from '../../shared/ids.ts';
import type { SourceLease, TargetLease } from '../ports.ts';
import type { ModelVm } from './model-vm.ts';
import type { Host } from './world.ts';

export type Owner = 'source' | 'target';

/** A frame of the guest that reached the network. */
export interface SeenFrame {
  /** The copy of the guest that sent it. */
  readonly from: Owner;
  /** Who owned the VM when the frame arrived. */
  readonly owner: Owner;
  readonly counter: number;
}

export interface Arbiter {
  readonly owner: Owner;
  /** The VM was given back after a commit. */
  readonly tookBack: boolean;
  readonly frames: readonly SeenFrame[];
  /** Called at the moment the lease moves to the target. */
  onCommit: () => void;
  /** Listeners on the leases that were not disposed. */
  readonly sourceListeners: number;
  readonly targetListeners: number;
  sourceLease(host: Host, migrationId: MigrationId): SourceLease;
  targetLease(host: Host, migrationId: MigrationId): TargetLease;
  /** Connects a copy of the guest to the network. */
  plug(side: Owner, vm: ModelVm): void;
}
