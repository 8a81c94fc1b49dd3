/** A VM's network port, for its worker: as the VM's owner, or as the target of a migration that may become its owner. */
import type { SourceLease, TargetLease } from '../../migration/ports.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../../shared/ids.ts';
import type { PortClientDrop } from './inbound-queue.ts';
import { PortConnection, type PortConnectionOptions, type PortState } from './port-connection.ts';
import { RelaySourceLease } from './source-lease.ts';
import type { ServerTime } from './server-time.ts';
import { RelayTargetLease } from './target-lease.ts';

export type { PortNic } from './inbound-queue.ts';
export type { PortState } from './port-connection.ts';

interface VmNetworkPort extends Disposable {
  readonly vmId: VmId;
  /** `refused` with cause `stale-epoch`, `not-owner` or `unknown-vm`: this host must not run the VM. */
  readonly state: PortState;
  onState(listener: (state: PortState) => void): Disposable;
  /** Frames dropped on this side, by name. */
  dropped(): Partial<Record<PortClientDrop, number>>;
  /** Frames that wait for room in the guest. */
  readonly queuedFrames: number;
  /** The wall clock that guests use. */
  readonly serverTime: ServerTime;
}

export interface OwnerPort extends VmNetworkPort {
  /** Rises by two when the VM is given back after a move. */
  readonly epoch: LeaseEpoch;
  /** One per migration; dispose of it when the migration ends, unless the port itself is disposed of. */
  sourceLease(migrationId: MigrationId, targetHostId: HostId): SourceLease & Disposable;
}

export interface TargetPort extends VmNetworkPort {
  targetLease(): TargetLease;
  /** After commit() resolved: the same port as the VM's owner. Throws before. */
  asOwner(): OwnerPort;
}

export type AttachOptions = PortConnectionOptions;

/** Opens the port of a VM that this host owns at `epoch`. */
export function attachOwner(options: AttachOptions): OwnerPort {
  return new OwnerPortClient(new PortConnection(options, null));
}

/** Opens a prospective port for a VM that `fromHostId` owns at `epoch`; nothing passes until the commit. */
export function attachTarget(options: AttachOptions & { readonly migrationId: MigrationId; readonly fromHostId: HostId }): TargetPort {
  const connection = new PortConnection(options, options.migrationId);
  return new TargetPortClient(connection, new RelayTargetLease(connection, options.migrationId, options.fromHostId));
}

class PortClient implements VmNetworkPort {
  protected readonly connection: PortConnection;

  constructor(connection: PortConnection) {
    this.connection = connection;
  }

  get vmId(): VmId {
    return this.connection.vmId;
  }

  get state(): PortState {
    return this.connection.state;
  }

  get queuedFrames(): number {
    return this.connection.queuedFrames;
  }

  get serverTime(): ServerTime {
    return this.connection.serverTime;
  }

  onState(listener: (state: PortState) => void): Disposable {
    return this.connection.onState.on(listener);
  }

  dropped(): Partial<Record<PortClientDrop, number>> {
    return this.connection.drops.toJSON();
  }

  dispose(): void {
    this.connection.dispose();
  }
}

class OwnerPortClient extends PortClient implements OwnerPort {
  get epoch(): LeaseEpoch {
    return this.connection.epoch;
  }

  sourceLease(migrationId: MigrationId, targetHostId: HostId): SourceLease & Disposable {
    return new RelaySourceLease(this.connection, migrationId, targetHostId);
  }
}

class TargetPortClient extends PortClient implements TargetPort {
  private readonly lease: RelayTargetLease;
  private owner: OwnerPort | null = null;

  constructor(connection: PortConnection, lease: RelayTargetLease) {
    super(connection);
    this.lease = lease;
  }

  targetLease(): TargetLease {
    return this.lease;
  }

  asOwner(): OwnerPort {
    if (!this.lease.ownsVm) throw new Error('The VM was not committed to this host.');
    this.owner ??= new OwnerPortClient(this.connection);
    return this.owner;
  }
}
