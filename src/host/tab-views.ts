/** What scripts and the page see of a tab, in its current state. */
import type { HostId } from '../shared/ids.ts';
import type { EndedVms } from './ended-vms.ts';
import type { HostLinks } from './host-links.ts';
import type { HostReadiness } from './host-readiness.ts';
import type { LocalVms } from './local-vms.ts';
import type { Migrations } from './migrations.ts';
import type { RoomAddress } from './room-address.ts';
import type { RoomLog } from './room-log.ts';
import type { RoomMembership } from './room-membership.ts';
import type { TabMotionHost, TabMotionVm, TabView, VmView } from './scripting-interface.ts';
import type { TabStatus } from './tab-status.ts';
import { hostViews, publicVm, vmViews } from './vm-views.ts';

/** The parts of a tab that its views show. */
export interface ViewSources {
  readonly self: HostId;
  readonly roomName: string;
  /** Nobody on the network path can read along. */
  readonly secure: boolean;
  readonly room: RoomMembership;
  readonly address: RoomAddress;
  readonly status: TabStatus;
  readonly localVms: LocalVms;
  readonly endedVms: EndedVms;
  readonly migrations: Migrations;
  readonly readiness: HostReadiness;
  readonly links: HostLinks;
  readonly log: RoomLog;
}

export class TabViews {
  private readonly sources: ViewSources;

  constructor(sources: ViewSources) {
    this.sources = sources;
  }

  vms(): VmView[] {
    const { room, localVms, self } = this.sources;
    return vmViews(room.vms, {
      self,
      here: localVms.states(),
      movedTo: localVms.movedTo,
      ended: localVms.ended,
      details: localVms.details,
      traffic: room.traffic,
    });
  }

  publicVms(): TabMotionVm[] {
    return this.vms()
      .filter((vm) => !vm.ended)
      .map(publicVm);
  }

  publicHosts(): TabMotionHost[] {
    const { room, readiness, self } = this.sources;
    return hostViews(room.hosts, this.publicVms(), self, (hostId) => readiness.isReady(hostId));
  }

  view(): TabView {
    const { room, address, status, localVms, endedVms, migrations, log, links, self, roomName, secure } = this.sources;
    return {
      room: roomName,
      invitation: address.invitation,
      othersCanJoin: address.othersCanJoin,
      address: address.here,
      owner: room.isOwner ? { address: address.owners } : null,
      secure,
      starting: status.starting,
      trouble: status.trouble,
      hosts: this.publicHosts(),
      vms: this.vms(),
      endedVms: endedVms.views(),
      migrations: migrations.underWay(),
      reports: migrations.reports(),
      log: log.view(),
      links: Object.fromEntries(
        room
          .hostIds()
          .filter((hostId) => hostId !== self)
          .map((hostId) => [hostId, links.kindFor(hostId)]),
      ),
      standby: localVms.hasStandby,
    };
  }
}
