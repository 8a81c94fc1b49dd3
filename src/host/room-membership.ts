/**
 * The room as this tab knows it: who is here, which VMs there are, and what the hosts say to one another. Joining is a
 * separate step, so that all listeners are in place before the first message arrives. Decides nothing.
 */
import * as v from 'valibot';
import { connectHost, type HostClient } from '../net-relay/client/host-client.ts';
import type { OpenSocket } from '../net-relay/client/open-socket.ts';
import type { CreatedVm, EndedVm, Ending, FormerHost, HostInfo, VmInfo, VmState } from '../net-relay/protocol/relay-protocol.ts';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import type { HostId, LeaseEpoch, RoomName, VmId } from '../shared/ids.ts';
import { Gathering } from './gathering.ts';
import { hostMessageSchema, type HostMessage } from './host-messages.ts';
import type { PingSample, VmTraffic } from './scripting-interface.ts';

export interface RoomMembershipOptions {
  readonly self: HostId;
  readonly name: string;
  readonly hostToken: string;
  readonly clock: Clock;
  /** The relay's socket for hosts. */
  readonly url: string;
  readonly openSocket: OpenSocket;
}

export class RoomMembership implements Disposable {
  /** From now on, the lists of hosts and VMs are those of the room. */
  readonly joined = new Emitter<void>();
  /** The server does not answer; with the reason. This tab keeps trying until `returned`. */
  readonly lost = new Emitter<string>();
  readonly returned = new Emitter<void>();
  /** The room has another key; null: nobody can tell which. */
  readonly keyChanged = new Emitter<string | null>();
  /** The server has refused this tab for good; with a sentence. */
  readonly refused = new Emitter<string>();
  /** The relay has sent its list of VMs; `changed` follows. If another tab mentions a VM that is not on it, the next list has that VM, or it is gone. */
  readonly listed = new Emitter<void>();
  /** The list of hosts or of VMs has changed. */
  readonly changed = new Emitter<void>();
  /** A host has left. After a server outage, hosts get time to return before they count as gone. */
  readonly hostLeft = new Emitter<HostId>();
  readonly heard = new Emitter<{ readonly from: HostId; readonly message: HostMessage }>();
  /** A host sent a message that this page does not understand; `reason` says what is wrong with it. */
  readonly misheard = new Emitter<{ readonly from: HostId; readonly reason: string }>();
  readonly undeliverable = new Emitter<{ readonly to: HostId; readonly message: HostMessage }>();
  readonly pinged = new Emitter<PingSample>();
  readonly trafficTold = new Emitter<readonly VmTraffic[]>();
  private readonly options: RoomMembershipOptions;
  private client: HostClient | null = null;
  private whyNot: string | null = null;
  private readonly gathering: Gathering;
  private vmList: readonly VmInfo[] = [];
  private endedList: readonly EndedVm[] = [];
  private readonly trafficByVm = new Map<string, VmTraffic>();

  constructor(options: RoomMembershipOptions) {
    this.options = options;
    this.gathering = new Gathering([{ id: options.self, name: options.name }], options.clock);
    this.gathering.left.on(({ id }) => {
      this.hostLeft.emit(id as HostId);
      this.changed.emit();
    });
  }

  join(
    room: RoomName,
    key: string,
    { openCode, ownerSecret, former }: { readonly openCode?: string | undefined; readonly ownerSecret: string; readonly former?: FormerHost | undefined },
  ): void {
    const { url, self, hostToken, name, clock, openSocket } = this.options;
    const client = connectHost({ url, room, key, hostId: self, hostToken, name, openCode, ownerSecret, former, clock, openSocket });
    client.onKey((now) => this.keyChanged.emit(now));
    this.client = client;
    let isLost = false;
    client.onState((state) => {
      if (state.kind === 'refused') this.refuse(state.reason);
      if (state.kind === 'lost') {
        isLost = true;
        this.gathering.cutOff();
        this.lost.emit(state.reason);
      }
      if (state.kind === 'connected' && isLost) {
        isLost = false;
        this.gathering.begin();
        this.returned.emit();
      }
    });
    let isFirst = true;
    client.onRoom((now) => {
      if (isFirst) this.gathering.begin();
      this.take(now);
      if (!isFirst) return;
      isFirst = false;
      this.joined.emit();
    });
    client.onMessage(({ hostId: from, body }) => {
      const parsed = v.safeParse(hostMessageSchema, body);
      if (parsed.success) this.heard.emit({ from, message: parsed.output });
      else this.misheard.emit({ from, reason: parsed.issues[0].message });
    });
    client.onUndeliverable(({ hostId: to, body }) => {
      const parsed = v.safeParse(hostMessageSchema, body);
      if (parsed.success) this.undeliverable.emit({ to, message: parsed.output });
    });
    client.onPing((sample) => this.pinged.emit(sample));
    client.onTraffic((news) => {
      for (const one of news) this.trafficByVm.set(one.vmId, one);
      this.trafficTold.emit(news);
    });
  }

  /** This tab is not in a room, or no longer; all its requests fail with this sentence. */
  refuse(reason: string): void {
    this.whyNot = reason;
    this.gathering.refused();
    this.refused.emit(reason);
  }

  /** The sentence of `refused`, or null. */
  get refusal(): string | null {
    return this.whyNot;
  }

  /** This tab has the secret of the room's owner. */
  get isOwner(): boolean {
    return this.client?.isOwner ?? false;
  }

  get hosts(): readonly HostInfo[] {
    return this.gathering.present;
  }

  get vms(): readonly VmInfo[] {
    return this.vmList;
  }

  /** VMs that have ended, as the room remembers them. */
  get ended(): readonly EndedVm[] {
    return this.endedList;
  }

  get traffic(): ReadonlyMap<string, VmTraffic> {
    return this.trafficByVm;
  }

  hostIds(): HostId[] {
    return this.hosts.map((host) => host.id as HostId);
  }

  /** The hosts that were here before a server outage and may still come back. */
  expectedHostIds(): HostId[] {
    return this.gathering.expected.map((host) => host.id as HostId);
  }

  isPresent(hostId: HostId): boolean {
    return this.gathering.isPresent(hostId);
  }

  /** Resolves with true once the host is here and the server answers; with false when that can no longer be expected. */
  whenPresent(hostId: HostId): Promise<boolean> {
    return this.gathering.whenPresent(hostId);
  }

  hostNameOf(hostId: string): string {
    return [...this.hosts, ...this.gathering.expected].find((host) => host.id === hostId)?.name ?? 'a host that left';
  }

  vm(vmId: string): VmInfo | undefined {
    return this.vmList.find((vm) => vm.id === vmId);
  }

  /** The lease's holder, as the relay says; null for an unknown VM. */
  ownerOf(vmId: VmId): HostId | null {
    return (this.vm(vmId)?.hostId ?? null) as HostId | null;
  }

  vmNameOf(vmId: string): string {
    return this.vm(vmId)?.name ?? 'The VM';
  }

  /** Rejects with a sentence, as the next three do. */
  async createVm(wanted: { readonly name?: string | undefined; readonly memoryBytes: number }): Promise<CreatedVm> {
    return this.needClient().createVm(wanted);
  }

  async destroyVm(vmId: VmId, epoch: LeaseEpoch, ending: Ending): Promise<void> {
    await this.needClient().destroyVm(vmId, epoch, ending);
  }

  async dismissEnded(vmIds: readonly string[]): Promise<void> {
    await this.needClient().dismissEnded(vmIds);
  }

  async forgetVm(vmId: VmId, epoch: LeaseEpoch): Promise<void> {
    await this.needClient().forgetVm(vmId, epoch);
  }

  setVmState(vmId: VmId, epoch: LeaseEpoch, state: VmState): void {
    this.client?.setVmState(vmId, epoch, state);
  }

  /** A message that the relay or this tab knows it cannot deliver comes back as `undeliverable`. */
  sendToHost(hostId: HostId, message: HostMessage): void {
    this.client?.sendToHost(hostId, message);
  }

  /** To all others; lost while the server is away. */
  sendToRoom(message: HostMessage): void {
    this.client?.sendToRoom(message);
  }

  dispose(): void {
    this.gathering.dispose();
    this.client?.dispose();
  }

  private take(now: { readonly hosts: readonly HostInfo[]; readonly vms: readonly VmInfo[]; readonly ended: readonly EndedVm[] }): void {
    this.gathering.take(now.hosts);
    this.vmList = now.vms;
    this.endedList = now.ended;
    for (const id of this.trafficByVm.keys()) if (this.vm(id) === undefined) this.trafficByVm.delete(id);
    this.listed.emit();
    this.changed.emit();
  }

  private needClient(): HostClient {
    if (this.client === null || this.whyNot !== null) throw new Error(this.whyNot ?? 'This tab has not joined a room.');
    return this.client;
  }
}
