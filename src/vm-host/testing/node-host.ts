/**
 * A host without a page, in Node: it joins a room, and runs each VM in a worker of its own, as a tab does. Its links are
 * the relay's lanes. For tests.
 */
import type { GuestSet } from '../../emulator-bridge/guest-artefacts.ts';
import type { MigrationReport } from '../../migration/report.ts';
import { connectHost, type HostClient } from '../../net-relay/client/host-client.ts';
import { openNodeSocket } from '../../net-relay/node-client/node-socket.ts';
import { spawnVmThread } from '../../node-host/node-worker.ts';
import { Emitter } from '../../shared/emitter.ts';
import type { HostId, MacAddress, MigrationId, RoomName, VmId } from '../../shared/ids.ts';
import type { FromVmWorker, MigrateOptions, RelayAccess, ToVmWorker, VmIdentity } from '../vm-worker-messages.ts';

export interface NodeRoom {
  /** Of the server's relay, such as `ws://127.0.0.1:8080/relay`. */
  readonly relayUrl: string;
  readonly room: string;
  readonly key: string;
  readonly guest: GuestSet;
}

export class NodeHost implements AsyncDisposable {
  readonly id: HostId;
  private readonly relay: RelayAccess;
  private readonly guest: GuestSet;
  private readonly client: HostClient;
  private readonly vms = new Set<NodeVm>();

  constructor(id: string, { relayUrl, room, key, guest }: NodeRoom) {
    this.id = id as HostId;
    this.guest = guest;
    this.relay = { url: relayUrl, room: room as RoomName, key, hostId: this.id, hostToken: `token-of-${id}-0123456789` };
    this.client = connectHost({ ...this.relay, url: `${relayUrl}/host`, name: id, openSocket: openNodeSocket });
  }

  /** Starts a new VM. Resolves once it has its identity. */
  async start(): Promise<NodeVm> {
    const created = await this.client.createVm({ memoryBytes: this.guest.manifest.memoryBytes });
    const { name, ip, netmask, gateway } = created;
    const identity: VmIdentity = { vmId: created.vmId as VmId, name, mac: created.mac as MacAddress, ip, netmask, gateway, password: 'of-a-test' };
    const vm = this.spawn();
    const running = vm.heard('running');
    vm.post({ type: 'start', vm: identity, epoch: created.epoch });
    await running;
    return vm;
  }

  /** Moves a VM from this host to another one. `arrived` is null if it did not arrive. */
  async migrate(vm: NodeVm, target: NodeHost, options: MigrateOptions = {}): Promise<{ readonly report: MigrationReport; readonly arrived: NodeVm | null }> {
    const migrationId = `m-${crypto.randomUUID()}` as MigrationId;
    const copy = target.spawn();
    const over = Promise.race([copy.heard('arrived'), copy.heard('not-arrived')]);
    copy.post({ type: 'receive', migrationId, from: this.id, ends: { kind: 'relay' } });
    const reported = vm.heard('report');
    vm.post({ type: 'migrate', migrationId, to: target.id, options, ends: { kind: 'relay' } });
    const [{ report }, { type }] = await Promise.all([reported, over]);
    await (type === 'arrived' ? vm : copy).end();
    return { report, arrived: type === 'arrived' ? copy : null };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.vms].map((vm) => vm.end()));
    this.client.dispose();
  }

  private spawn(): NodeVm {
    const vm: NodeVm = new NodeVm(() => this.vms.delete(vm));
    this.vms.add(vm);
    vm.post({ type: 'prepare', guest: this.guest });
    vm.post({ type: 'join', relay: this.relay });
    return vm;
  }
}

type Heard<T extends FromVmWorker['type']> = Extract<FromVmWorker, { type: T }>;

/** A VM, or the incoming copy of one, with its worker. */
export class NodeVm {
  /** All that its console has printed here. */
  printed = '';
  /** Problems that its worker reported. */
  readonly troubles: string[] = [];
  private readonly worker = spawnVmThread();
  private readonly messages = new Emitter<FromVmWorker>();
  private readonly decoder = new TextDecoder();
  private readonly ended: () => void;
  private typed = 0;

  constructor(ended: () => void) {
    this.ended = ended;
    this.worker.on('message', (message: FromVmWorker) => {
      if (message.type === 'console') this.printed += this.decoder.decode(message.data, { stream: true });
      if (message.type === 'failed' || (message.type === 'log' && message.level === 'bad'))
        this.troubles.push(message.type === 'log' ? message.text : message.reason);
      this.messages.emit(message);
    });
    this.worker.on('error', (error) => this.messages.emit({ type: 'failed', reason: String(error) }));
  }

  post(message: ToVmWorker): void {
    this.worker.postMessage(message);
  }

  /** Rejects with the worker's own words if the worker fails before it sends such a message. */
  heard<T extends FromVmWorker['type']>(type: T): Promise<Heard<T>> {
    return new Promise((resolve, reject) => {
      const listening = this.messages.on((message) => {
        if (message.type !== type && message.type !== 'failed') return;
        listening.dispose();
        if (message.type === type) resolve(message as Heard<T>);
        else if (message.type === 'failed') reject(new Error(message.reason));
      });
    });
  }

  /** As a person at this host would. */
  type(text: string): void {
    const data = new TextEncoder().encode(text);
    this.post({ type: 'console-input', writer: 'typist' as HostId, piece: { acknowledged: this.typed, from: this.typed, data } });
    this.typed += data.length;
  }

  /** Resolves with the printed output as soon as it matches. */
  until(pattern: RegExp): Promise<string> {
    return new Promise((resolve) => {
      const look = (): boolean => {
        if (pattern.test(this.printed)) resolve(this.printed);
        return pattern.test(this.printed);
      };
      if (look()) return;
      const listening = this.messages.on(({ type }) => {
        if (type === 'console' && look()) listening.dispose();
      });
    });
  }

  async end(): Promise<void> {
    this.ended();
    await this.worker.terminate();
  }
}
