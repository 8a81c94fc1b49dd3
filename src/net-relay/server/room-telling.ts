/** What a room tells its hosts: its lists when they change, ping results, traffic. Each message is encoded once, however many hosts receive it. */
import type { Clock } from '../../shared/clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { HostId, VmId } from '../../shared/ids.ts';
import type { RelayToHost, VmTraffic } from '../protocol/relay-protocol.ts';
import { encodeText } from '../protocol/relay-wire.ts';
import type { HostVoice, RoomHosts } from './room-hosts.ts';
import { RoomMail } from './room-mail.ts';
import type { RoomVm } from './room-vm.ts';
import { TELL_ROOM_BYTES_PER_SECOND } from '../limits/server-limits.ts';

/** Changes are told together: a migration makes several within a few milliseconds. */
const TELL_ROOM_AFTER_MS = 10;
/** No change waits longer, however large the room is. */
const LONGEST_UNTOLD_MS = 1000;
/** Ping results are told together too, so that the number of their messages grows only with the hosts of a room. Half the default beat. */
export const TELL_PINGS_AFTER_MS = 50;

export type PingResult = Extract<RelayToHost, { type: 'pings' }>['samples'][number];

export class RoomTelling implements Disposable {
  private readonly hosts: RoomHosts<RelayToHost>;
  private readonly clock: Clock;
  private readonly lists: () => RelayToHost;
  private readonly mail: RoomMail;
  private telling: Disposable | null = null;
  private tellAgainAt = 0;
  private pings: PingResult[] = [];
  private tellingPings: Disposable | null = null;
  private trafficTold = new Map<VmId, number>();

  /** `lists`: returns the room's current lists. */
  constructor(hosts: RoomHosts<RelayToHost>, clock: Clock, lists: () => RelayToHost) {
    this.hosts = hosts;
    this.clock = clock;
    this.mail = new RoomMail(clock);
    this.lists = lists;
  }

  /** To all hosts. Returns the bytes for all of them. */
  tell(message: RelayToHost, besides: HostId | null = null): number {
    const encoded = encodeText(message);
    let bytes = 0;
    for (const [id, voice] of this.hosts.voices()) {
      if (id === besides) continue;
      this.mail.post(encoded.utf8.length, () => voice.sendEncoded(encoded));
      bytes += encoded.utf8.length;
    }
    return bytes;
  }

  /** To one host, after what it was told before; some `characters` long. */
  tellOne(voice: HostVoice<RelayToHost>, message: RelayToHost, characters: number): void {
    this.mail.post(characters, () => voice.send(message));
  }

  /** The room's lists have changed. */
  changed(): void {
    this.telling ??= this.clock.setTimeout(
      () => {
        this.telling = null;
        const bytes = this.tell(this.lists());
        this.tellAgainAt = this.clock.now() + Math.min(LONGEST_UNTOLD_MS, (bytes / TELL_ROOM_BYTES_PER_SECOND) * 1000);
      },
      Math.max(TELL_ROOM_AFTER_MS, this.tellAgainAt - this.clock.now()),
    );
  }

  pinged(result: PingResult): void {
    this.pings.push(result);
    this.tellingPings ??= this.clock.setTimeout(() => {
      this.tellingPings = null;
      const samples = this.pings;
      this.pings = [];
      this.tell({ type: 'pings', samples });
    }, TELL_PINGS_AFTER_MS);
  }

  /** Once a second: the figures of those VMs whose figures changed. */
  traffic(vms: Iterable<RoomVm>): void {
    const news: VmTraffic[] = [];
    for (const vm of vms) {
      const dropped = vm.port.drops.total;
      const mark = vm.port.traffic.framesFromGuest + vm.port.traffic.framesToGuest + dropped;
      if (this.trafficTold.get(vm.identity.id) === mark) continue;
      this.trafficTold.set(vm.identity.id, mark);
      news.push({ vmId: vm.identity.id, ...vm.port.traffic, dropped });
    }
    if (news.length > 0) this.tell({ type: 'traffic', vms: news });
  }

  forgetVm(vmId: VmId): void {
    this.trafficTold.delete(vmId);
  }

  dispose(): void {
    this.mail.dispose();
    for (const timer of [this.telling, this.tellingPings]) timer?.dispose();
    this.telling = null;
    this.tellingPings = null;
  }
}
