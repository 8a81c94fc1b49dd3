/** A real relay on a loopback port, with clients and network cards that a test controls. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Disposable } from '../../shared/disposable.ts';
import { Emitter } from '../../shared/emitter.ts';
import type { HostId, LeaseEpoch, MigrationId, RoomName, VmId } from '../../shared/ids.ts';
import { connectHost, type HostClient } from '../client/host-client.ts';
import type { PortNic } from '../client/inbound-queue.ts';
import { attachOwner, attachTarget, type OwnerPort, type TargetPort } from '../client/port-client.ts';
import { openNodeSocket } from '../node-client/node-socket.ts';
import { createRelay, type Relay, type RelayOptions } from '../server/relay-server.ts';
import { memoryKeyValueStore } from '../store/key-value-store.ts';
import type { CreatedVm } from '../protocol/relay-protocol.ts';

export const openSocket = openNodeSocket;

/** A network card whose guest takes frames while `running`. */
export class TestNic implements PortNic {
  readonly received: Uint8Array[] = [];
  readonly got = new Emitter<Uint8Array>();
  private readonly out = new Emitter<Uint8Array>();
  private readonly ready = new Emitter<undefined>();
  private runs: boolean;

  constructor(running = true) {
    this.runs = running;
  }

  set running(runs: boolean) {
    this.runs = runs;
    if (runs) this.ready.emit(undefined);
  }

  get listeners(): number {
    return this.out.listenerCount + this.ready.listenerCount;
  }

  deliver(frame: Uint8Array): boolean {
    if (!this.runs) return false;
    this.received.push(frame.slice());
    this.got.emit(frame);
    return true;
  }

  onReady(listener: () => void): Disposable {
    return this.ready.on(listener);
  }

  onFrame(listener: (frame: Uint8Array) => void): Disposable {
    return this.out.on(listener);
  }

  /** The guest sends. */
  send(frame: Uint8Array): void {
    this.out.emit(frame);
  }
}

/** An IPv4 frame with a number in it, of any addresses. */
export function ipFrame(from: { mac: string; ip: string }, to: { mac: string; ip: string }, number: number, size = 64): Uint8Array {
  const frame = new Uint8Array(size);
  frame.set(
    to.mac.split(':').map((octet) => Number.parseInt(octet, 16)),
    0,
  );
  frame.set(
    from.mac.split(':').map((octet) => Number.parseInt(octet, 16)),
    6,
  );
  frame.set([0x08, 0x00, 0x45], 12);
  frame.set(from.ip.split('.').map(Number), 26);
  frame.set(to.ip.split('.').map(Number), 30);
  new DataView(frame.buffer).setUint32(40, number);
  return frame;
}

export const numberOf = (frame: Uint8Array): number => new DataView(frame.buffer, frame.byteOffset).getUint32(40);

/** Resolves once `look` returns true; looks at the present state first. */
export function until(look: () => boolean, ...changes: { on: (listener: () => void) => Disposable }[]): Promise<void> {
  if (look()) return Promise.resolve();
  return new Promise((resolve) => {
    const subscriptions = changes.map((change) =>
      change.on(() => {
        if (!look()) return;
        for (const subscription of subscriptions) subscription.dispose();
        resolve();
      }),
    );
  });
}

export interface TestVm {
  readonly id: VmId;
  readonly mac: string;
  readonly ip: string;
  readonly epoch: LeaseEpoch;
  readonly created: CreatedVm;
}

/** One tab. */
export interface TestHost {
  readonly id: HostId;
  readonly client: HostClient;
  createVm(name?: string): Promise<TestVm>;
  own(vm: TestVm, nic: PortNic, epoch?: LeaseEpoch): OwnerPort;
  target(vm: TestVm, nic: PortNic, migrationId: string, from: TestHost, epoch?: LeaseEpoch): TargetPort;
}

export class RelayHarness implements AsyncDisposable {
  readonly records = new Map<string, string>();
  relay: Relay;
  private readonly options: Partial<RelayOptions>;
  private readonly opened: Disposable[] = [];
  private readonly server = createServer();

  private constructor(options: Partial<RelayOptions>) {
    this.options = options;
    this.relay = this.make();
    this.server.on('upgrade', (request, socket, head) => {
      if (!this.relay.handleUpgrade(request, socket, head)) socket.destroy();
    });
  }

  static async start(options: Partial<RelayOptions> = {}): Promise<RelayHarness> {
    const harness = new RelayHarness(options);
    await new Promise<void>((resolve) => harness.server.listen(0, '127.0.0.1', resolve));
    return harness;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/relay`;
  }

  /** To everybody else, this is a restart of the process. */
  restart(): void {
    this.relay.dispose();
    this.relay = this.make();
  }

  keep<T extends Disposable>(item: T): T {
    this.opened.push(item);
    return item;
  }

  async host(
    id: string,
    { room = 'default', key = this.relay.defaultRoomKey, hostToken = `token-of-${id}-0123456789` }: { room?: string; key?: string; hostToken?: string } = {},
  ): Promise<TestHost> {
    const credentials = { room: room as RoomName, key, hostId: id as HostId, hostToken };
    const client = this.keep(connectHost({ url: `${this.url}/host`, ...credentials, name: id, openSocket }));
    await until(() => client.state.kind === 'connected', { on: (listener) => client.onState(listener) });
    const base = { url: `${this.url}/port`, credentials, openSocket };
    return {
      id: id as HostId,
      client,
      async createVm(name) {
        const created = await client.createVm({ name, memoryBytes: 128 * 1024 * 1024 });
        return { id: created.vmId as VmId, mac: created.mac, ip: created.ip, epoch: created.epoch as LeaseEpoch, created };
      },
      own: (vm, nic, epoch = vm.epoch) => this.keep(attachOwner({ ...base, vmId: vm.id, epoch, nic })),
      target: (vm, nic, migrationId, from, epoch = vm.epoch) =>
        this.keep(attachTarget({ ...base, vmId: vm.id, epoch, nic, migrationId: migrationId as MigrationId, fromHostId: from.id })),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const item of this.opened.reverse()) item.dispose();
    this.relay.dispose();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private make(): Relay {
    return createRelay({
      store: memoryKeyValueStore(this.records),
      onTrouble: (error) => {
        throw error;
      },
      ...this.options,
    });
  }
}

/** A station that keeps what it gets. */
export function recordingStation(): { received: Uint8Array[]; receive(frame: Uint8Array): void } {
  const received: Uint8Array[] = [];
  return { received, receive: (frame) => void received.push(frame.slice()) };
}
