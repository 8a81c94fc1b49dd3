/** A relay with hosts and ports on a memory network and a virtual clock. */
import { VirtualClock } from '../../migration/testing/virtual-clock.ts';
import type { Disposable } from '../../shared/disposable.ts';
import type { HostId, LeaseEpoch, MigrationId, RoomName, VmId } from '../../shared/ids.ts';
import { connectHost, type HostClient } from '../client/host-client.ts';
import { attachOwner, attachTarget, type OwnerPort, type TargetPort } from '../client/port-client.ts';
import type { Lan } from '../lan/lan.ts';
import type { CreatedVm } from '../protocol/relay-protocol.ts';
import type { Relay } from '../server/relay-server.ts';
import { createReopeningRelay } from '../server/reopening-relay.ts';
import { DEFAULT_LIMITS, type ServerLimits } from '../limits/server-limits.ts';
import { memoryKeyValueStore, type KeyValueStore } from '../store/key-value-store.ts';
import { MemoryNetwork } from './memory-network.ts';
import type { PortNic } from '../client/inbound-queue.ts';
import { repeatedBytes } from './repeated-bytes.ts';

export class VirtualLan {
  readonly clock = new VirtualClock();
  readonly network = new MemoryNetwork();
  readonly records = new Map<string, string>();
  readonly lans: Lan[] = [];
  readonly troubles: unknown[] = [];
  readonly said: string[] = [];
  /** What the store throws instead of storing. */
  storeError: Error | null = null;
  /** The store can be opened anyway. */
  opensAnyway = false;
  storesOpened = 0;
  /** The server's wall clock minus the time of `clock`. */
  wallAheadMs = 1_900_000_000_000;
  relay: Relay;
  private readonly opened: Disposable[] = [];
  private readonly randomBytes = repeatedBytes();
  private readonly limits: ServerLimits;
  private readonly openCode: string | null;

  /** `limits`: the relay's own unless given; `openCode`: asked for when somebody opens a room; null: not asked for. */
  constructor(limits: Partial<ServerLimits> = {}, openCode: string | null = null) {
    this.openCode = openCode;
    this.limits = { ...DEFAULT_LIMITS, ...limits };
    this.relay = this.startRelay();
  }

  startRelay(): Relay {
    this.relay = createReopeningRelay({
      openStore: () => this.openStore(),
      clock: this.clock,
      limits: this.limits,
      openCode: () => this.openCode,
      wallMs: () => this.wallMs(),
      randomBytes: this.randomBytes,
      openGateway: (lan) => {
        this.lans.push(lan);
        return { dispose: () => undefined };
      },
      onTrouble: (error) => void this.troubles.push(error),
      log: (line) => void this.said.push(line),
    });
    this.network.relay = this.relay;
    return this.relay;
  }

  private openStore(): KeyValueStore {
    const check = (): void => {
      if (this.storeError !== null) throw this.storeError;
    };
    const store = memoryKeyValueStore(this.records);
    this.storesOpened += 1;
    if (!this.opensAnyway) check();
    return {
      ...store,
      put(key, value) {
        check();
        store.put(key, value);
      },
      remove(key) {
        check();
        store.remove(key);
      },
    };
  }

  wallMs(): number {
    return this.clock.now() + this.wallAheadMs;
  }

  /** The process dies: no goodbye, everything in memory is gone. Sockets break. */
  crashRelay(): void {
    const dead = this.relay;
    this.network.relay = null;
    for (const socket of [...this.network.sockets]) socket.cut();
    dead.dispose();
  }

  host(id: string, room = 'default', key = this.relay.defaultRoomKey, hostToken = `token-of-${id}-0123456789`): HostClient {
    return this.keep(
      connectHost({
        url: 'ws://relay/relay/host',
        room: room as RoomName,
        key,
        hostId: id as HostId,
        hostToken,
        name: id,
        clock: this.clock,
        openSocket: this.network.openSocket(id),
        random: () => 0,
      }),
    );
  }

  own(hostId: string, vm: CreatedVm, nic: PortNic, epoch = vm.epoch): OwnerPort {
    return this.keep(attachOwner({ ...this.portOptions(hostId), vmId: vm.vmId as VmId, epoch: epoch as LeaseEpoch, nic }));
  }

  target(hostId: string, vm: CreatedVm, nic: PortNic, migrationId: string, fromHostId: string, epoch = vm.epoch): TargetPort {
    return this.keep(
      attachTarget({
        ...this.portOptions(hostId),
        vmId: vm.vmId as VmId,
        epoch: epoch as LeaseEpoch,
        nic,
        migrationId: migrationId as MigrationId,
        fromHostId: fromHostId as HostId,
      }),
    );
  }

  private portOptions(hostId: string) {
    const credentials = { room: 'default' as RoomName, key: this.relay.defaultRoomKey, hostId: hostId as HostId, hostToken: `token-of-${hostId}-0123456789` };
    return { url: 'ws://relay/relay/port', credentials, clock: this.clock, openSocket: this.network.openSocket(hostId), random: () => 0 };
  }

  /** Delivers everything, then lets time pass in steps, delivering after each. */
  async pass(ms: number): Promise<void> {
    await this.network.settle();
    const end = this.clock.now() + ms;
    while ((this.clock.nextAt ?? Number.POSITIVE_INFINITY) <= end) {
      this.clock.fireNext();
      await this.network.settle();
    }
    this.clock.pass(end - this.clock.now());
  }

  /**
   * The socket of `name` that is about to connect breaks for its client as its hello leaves; the client connects anew.
   * The result delivers what the old one had sent: the relay hears that hello after the newer one.
   */
  async giveUpHello(name: string): Promise<() => Promise<void>> {
    const [socket] = [...this.network.sockets].filter((one) => one.name === name && one.toServer.length > 0);
    if (socket === undefined) throw new Error(`${name} has no socket that is about to connect`);
    socket.toServer.shift()?.();
    // Opened: the client says hello.
    socket.toClient.shift()?.();
    this.network.sockets.delete(socket);
    socket.break('toClient');
    socket.toClient.shift()?.();
    await this.pass(1000);
    return async () => {
      while (socket.toServer.length > 0) socket.toServer.shift()?.();
      await this.pass(1000);
    };
  }

  async settled<T>(promise: Promise<T>): Promise<T> {
    await this.network.settle();
    return promise;
  }

  async createVm(client: HostClient, name?: string): Promise<CreatedVm> {
    return this.settled(client.createVm({ name, memoryBytes: 1 << 27 }));
  }

  keep<T extends Disposable>(item: T): T {
    this.opened.push(item);
    return item;
  }

  dispose(): void {
    for (const item of this.opened.reverse()) item.dispose();
    this.relay.dispose();
  }
}
