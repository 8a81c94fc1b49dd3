/**
 * Whole tabs and the real relay in one process and in virtual time. `openTab` opens each tab; each VM's worker runs the
 * real worker code with a model machine. Between them are sockets, on which a message arrives when the schedule says so.
 * Tabs freeze, lose their connections, die, leave and are opened again; the relay crashes and restarts.
 */
import type { GuestLoadProgress, GuestSet, LoadingGuest } from '../../emulator-bridge/guest-artefacts.ts';
import { World, type Action, type Host } from '../../migration/testing/world.ts';
import { createRelay, type Relay } from '../../net-relay/server/relay-server.ts';
import { memoryKeyValueStore } from '../../net-relay/store/key-value-store.ts';
import { MemoryNetwork, type Direction, type MemorySocket } from '../../net-relay/testing/memory-network.ts';
import type { TabMotionVm } from '../scripting-interface.ts';
import { openTab, type OpenTab } from '../tab.ts';
import type { TabPlatform } from '../tab-platform.ts';
import { ModelWorker, NO_BASE } from './model-worker.ts';
import { repeatedBytes } from '../../net-relay/testing/repeated-bytes.ts';

const MEMORY_BYTES = 128 * 1024 * 1024;
const GUEST = { manifest: { memoryBytes: MEMORY_BYTES } } as unknown as GuestSet;
/** The longest time that a tab takes to load the guest. */
const LOAD_MS = 3000;

/** A tab from its opening to its end. */
export interface ModelTab {
  readonly name: string;
  readonly host: Host;
  readonly tab: OpenTab;
  readonly workers: ModelWorker[];
  /** How often the tab heard the end of each migration. */
  readonly reportsHeard: Map<string, number>;
  /** The tab does nothing any more. */
  gone: boolean;
}

/** A VM as the relay lists it. */
export type ListedVm = NonNullable<ReturnType<Relay['roomStatus']>>['vms'][number];

export class RoomMachine {
  readonly world: World;
  readonly tabs: ModelTab[] = [];
  readonly troubles: string[] = [];
  private readonly network = new MemoryNetwork();
  private readonly records = new Map<string, string>();
  private process: Host;
  private relay: Relay;
  private readonly randomBytes = repeatedBytes();
  private opened = 0;

  constructor(seed: number) {
    this.world = new World(seed);
    [this.process, this.relay] = this.startRelay();
  }

  get live(): readonly ModelTab[] {
    return this.tabs.filter((tab) => !tab.gone);
  }

  get relayIsUp(): boolean {
    return this.process.isUp;
  }

  listed(): readonly ListedVm[] {
    return this.relay.roomStatus('default', this.relay.defaultRoomKey)?.vms ?? [];
  }

  hostIds(): readonly string[] {
    return this.relay.roomStatus('default', this.relay.defaultRoomKey)?.hosts.map(({ id }) => id) ?? [];
  }

  /** Opens a tab of the default room. */
  open(): ModelTab {
    const name = `tab ${'abcdefghij'[this.opened++ % 10] ?? ''}`;
    const host = this.world.addHost(name);
    host.addSource(() => this.arrivals('toClient', name));
    const workers: ModelWorker[] = [];
    const { clock } = host;
    const platform: TabPlatform = {
      clock,
      wallMs: () => clock.now(),
      openSocket: this.network.openSocket(name),
      fetch: () => Promise.reject(new Error('There is only the relay here.')),
      name: 'the room machine',
      hasRoomForStandby: true,
      openDirectWays: () => ({ connections: null, presence: null }),
    };
    const tab = openTab({
      platform,
      address: new URL(`http://relay/?name=${encodeURIComponent(name)}#${this.relay.defaultRoomKey}`),
      base: new URL('http://relay/'),
      storage: null,
      tabMemory: null,
      spawnVmWorker: () => {
        const worker = this.spawn(`${name}, worker ${workers.length + 1}`, host);
        workers.push(worker);
        return worker as unknown as Worker;
      },
      showAddress: () => undefined,
    });
    const model: ModelTab = { name, host, tab, workers, reportsHeard: new Map(), gone: false };
    tab.on('report', ({ id }) => model.reportsHeard.set(id, (model.reportsHeard.get(id) ?? 0) + 1));
    this.tabs.push(model);
    return model;
  }

  /** All connections of a tab and of its workers break. Messages in flight in the directions `lost` are lost. */
  breakSockets(tab: ModelTab, ...lost: readonly Direction[]): void {
    this.world.note(`the connections of ${tab.name} break`);
    for (const socket of this.socketsOf(tab)) socket.break(...lost);
  }

  /** The computer of a tab sleeps. */
  freeze(tab: ModelTab): void {
    tab.host.freeze();
    for (const worker of tab.workers) worker.thread.freeze();
  }

  thaw(tab: ModelTab): void {
    tab.host.thaw();
    for (const worker of tab.workers) worker.thread.thaw();
  }

  /** The tab is closed: it says goodbye. */
  close(tab: ModelTab): void {
    this.world.note(`${tab.name} is closed`);
    tab.gone = true;
    tab.tab.dispose();
  }

  /** The tab's process dies without a goodbye. If `noticed`, the relay sees its connections close. */
  kill(tab: ModelTab, noticed: boolean): void {
    tab.gone = true;
    for (const worker of tab.workers) worker.thread.kill();
    tab.host.kill();
    for (const socket of this.socketsOf(tab)) socket.die('client', noticed);
  }

  /** The relay's process dies and loses everything that it had not stored. */
  crashRelay(noticed: boolean): void {
    this.process.kill();
    this.network.relay = null;
    for (const socket of [...this.network.sockets]) socket.die('server', noticed);
  }

  restartRelay(): void {
    [this.process, this.relay] = this.startRelay();
  }

  /** The workers in which this VM executes. */
  runsIn(vmId: string): readonly ModelWorker[] {
    return this.live.flatMap(({ workers }) => workers.filter((worker) => worker.vmId === vmId && worker.running !== null));
  }

  /** Closes everything, waits for it to end, and returns what is left over. */
  async leftovers(): Promise<string[]> {
    for (const tab of this.live) this.close(tab);
    await this.pass(30_000);
    const left: string[] = [];
    const { sockets } = this.relay.stats();
    if (sockets > 0) left.push(`${sockets} sockets at the relay`);
    for (const { name, host } of this.tabs) if (!host.isDead && host.openTimers > 0) left.push(`${host.openTimers} timers of ${name}`);
    return [...left, ...this.troubles];
  }

  /** Lets time pass as the schedule will. */
  async pass(ms: number): Promise<void> {
    const until = this.world.clock.now() + ms;
    await this.world.run(() => this.world.clock.now() >= until, undefined, 1_000_000);
  }

  views(tab: ModelTab): readonly TabMotionVm[] {
    return tab.tab.vms();
  }

  private socketsOf(tab: ModelTab): MemorySocket[] {
    return [...this.network.sockets].filter((socket) => socket.name === tab.name || socket.name.startsWith(`${tab.name},`));
  }

  private spawn(name: string, page: Host): ModelWorker {
    const thread = this.world.addHost(name);
    thread.addSource(() => this.arrivals('toClient', name));
    return new ModelWorker({
      page,
      thread,
      random: this.world.random,
      openSocket: this.network.openSocket(name),
      loadGuest: (_url, onProgress) => this.loadGuest(thread, onProgress),
      ended: () => {
        for (const socket of [...this.network.sockets]) if (socket.name === name) socket.die('client', true);
      },
    });
  }

  private loadGuest({ clock }: Host, onProgress: (progress: GuestLoadProgress) => void): LoadingGuest {
    const after = (limitMs: number): Promise<void> => new Promise((resolve) => clock.setTimeout(resolve, this.world.random.below(limitMs)));
    const begun = after(100);
    void begun.then(() => onProgress({ receivedBytes: 1, totalBytes: 2 }));
    const whole = begun.then(() => after(LOAD_MS));
    return { pc: whole.then(() => GUEST), base: whole.then(() => NO_BASE), whole: whole.then(() => GUEST) };
  }

  private startRelay(): [Host, Relay] {
    const process = this.world.addHost('relay');
    const relay = createRelay({
      store: memoryKeyValueStore(this.records),
      clock: process.clock,
      randomBytes: this.randomBytes,
      openGateway: () => ({ dispose: () => undefined }),
      onTrouble: (error) => void this.troubles.push(`The relay met an error of its own: ${String(error)}`),
    });
    this.network.relay = relay;
    process.addSource(() => this.arrivals('toServer', null));
    return [process, relay];
  }

  /** Arrivals at the sockets with this name; null: at the relay's ends of all sockets. */
  private arrivals(direction: Direction, name: string | null): Action[] {
    return this.network
      .arrivals(direction, name)
      .map(({ socket, deliver }) => ({ name: `${name === null ? 'hears a client' : 'hears the relay'}: ${socket.name}`, run: deliver }));
  }
}
