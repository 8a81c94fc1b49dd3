/**
 * A room's VMs as the relay and the guests know them, for tests of the tabs: who holds each lease, where each guest
 * runs, and which migrations moved it. No frames, no sockets.
 */
import type { VmInfo, VmState } from '../../net-relay/protocol/relay-protocol.ts';
import type { HostId, MigrationId, VmId } from '../../shared/ids.ts';

export class ModelVm {
  readonly id: VmId;
  owner: HostId;
  epoch = 1;
  state: VmState = 'starting';
  listed = true;
  /** Wants to power off; does so when its CPU runs next. */
  poweringOff = false;
  /** The worker whose CPU executes it. */
  runsIn: { poweredOff(): void } | null = null;
  /** Migrations whose commit was not taken back. */
  readonly movedBy = new Set<MigrationId>();

  constructor(id: VmId, owner: HostId) {
    this.id = id;
    this.owner = owner;
  }

  info(): VmInfo {
    return {
      id: this.id, name: this.id, state: this.state, hostId: this.owner, mac: '02:5a:00:00:00:02', ip: '10.86.0.2', memoryBytes: 1,
      epoch: this.epoch, ownerPresent: true, forwards: [],
    };
  }

  powerOff(): void {
    this.poweringOff = true;
    this.runsIn?.poweredOff();
  }

  /** The room forgets it, and its worker hears that. */
  forget(): void {
    this.listed = false;
    this.powerOff();
  }

  /** The one commit point: a compare-and-set. */
  commit(from: HostId, to: HostId, id: MigrationId): boolean {
    if (!this.listed || this.owner !== from) return false;
    this.owner = to;
    this.epoch++;
    this.movedBy.add(id);
    return true;
  }

  /** The target gave no sign of life. */
  giveBack(from: HostId, to: HostId, id: MigrationId): void {
    this.movedBy.delete(id);
    if (this.owner !== to) return;
    this.owner = from;
    this.epoch++;
  }
}
