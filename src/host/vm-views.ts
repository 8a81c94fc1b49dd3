/** What the page shows of the room's VMs: the relay's list, plus what only this tab knows about each VM. Pure. */
import type { HostInfo, VmInfo } from '../net-relay/protocol/relay-protocol.ts';
import type { HostId, VmId } from '../shared/ids.ts';
import type { TabMotionHost, TabMotionVm, TabMotionVmState, VmTraffic, VmView } from './scripting-interface.ts';

export interface VmDetails {
  readonly password: string | null;
  readonly waitingFor: string | null;
}

export interface LocalKnowledge {
  readonly self: HostId;
  /** VMs whose worker runs here (arriving ones not counted), with their state as this tab knows it. */
  readonly here: ReadonlyMap<VmId, TabMotionVmState>;
  /** VMs that ran here, and the host each moved to. */
  readonly movedTo: ReadonlyMap<VmId, HostId>;
  /** VMs that ran here and ended; the relay has forgotten them. */
  readonly ended: ReadonlyMap<VmId, VmView>;
  readonly details: ReadonlyMap<VmId, VmDetails>;
  readonly traffic: ReadonlyMap<string, VmTraffic>;
}

export function hostViews(hosts: readonly HostInfo[], vms: readonly TabMotionVm[], self: HostId, isReady: (hostId: string) => boolean): TabMotionHost[] {
  return hosts.map((host) => ({
    id: host.id,
    name: host.name,
    self: host.id === self,
    ready: isReady(host.id),
    vms: vms.filter((vm) => vm.hostId === host.id).length,
  }));
}

export function vmViews(vms: readonly VmInfo[], known: LocalKnowledge): VmView[] {
  const listed = vms.map((vm): VmView => {
    const id = vm.id as VmId;
    const stateHere = known.here.get(id);
    const details = known.details.get(id);
    return {
      id,
      name: vm.name,
      state: stateHere ?? vm.state,
      hostId: vm.hostId,
      mac: vm.mac,
      ip: vm.ip,
      memoryBytes: vm.memoryBytes,
      epoch: vm.epoch,
      here: stateHere !== undefined,
      movedAway: known.movedTo.has(id) && stateHere === undefined,
      ownerPresent: vm.ownerPresent,
      forwards: vm.forwards,
      traffic: known.traffic.get(id) ?? null,
      password: details?.password ?? null,
      waitingFor: details?.waitingFor ?? null,
      ended: false,
    };
  });
  const ended = [...known.ended.values()];
  // The relay's list is older than what this tab knows of its own VM, unless another host has it.
  const isOver = (vm: VmView): boolean => !vm.here && vm.hostId === known.self && known.ended.has(vm.id as VmId);
  return [...listed.filter((vm) => !isOver(vm)), ...ended.filter((vm) => !listed.some((other) => other.id === vm.id && !isOver(other)))];
}

/** The public part of a view. */
export function publicVm(vm: VmView): TabMotionVm {
  const { id, name, state, hostId, mac, ip, memoryBytes, epoch } = vm;
  return { id, name, state, hostId, mac, ip, memoryBytes, epoch };
}
