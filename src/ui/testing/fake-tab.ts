/** A fake Tab: believable hosts, a VM that counts, pings, and migrations that take their time. */
import type {
  CaptureState,
  Diagnostics,
  EndedVmView,
  LogLine,
  MigrateOptions,
  PingSample,
  PortForward,
  RoomCapture,
  Tab,
  TabMotionEvents,
  TabMotionHost,
  TabMotionVm,
  TabView,
  TerminalConsole,
  VmView,
} from '../../host/scripting-interface.ts';
import type { MigrationProgress, MigrationReport, RoundFigures } from '../../migration/report.ts';
import type { HostId, MigrationId, VmId } from '../../shared/ids.ts';
import { Emitter } from '../../shared/emitter.ts';

export interface FakeOptions {
  readonly hosts?: readonly string[];
  readonly vms?: number;
  readonly secure?: boolean;
  readonly trouble?: string | null;
  readonly starting?: boolean;
  /** Multiplies the time a migration takes. */
  readonly slowness?: number;
  /** The server listens on its own computer only. */
  readonly loopback?: boolean;
  /** This tab owns the room. */
  readonly owner?: boolean;
  readonly ended?: readonly EndedVmView[];
}

const SELF = 'host-self';

export class FakeTab implements Tab {
  readonly ready = Promise.resolve();
  readonly room = 'default';
  readonly host = { id: SELF, name: 'brave-otter' };
  private readonly state: { -readonly [K in keyof TabView]: TabView[K] };
  private readonly changed = new Emitter<null>();
  private readonly emitters: { [E in keyof TabMotionEvents]: Emitter<TabMotionEvents[E]> } = {
    hosts: new Emitter(),
    vms: new Emitter(),
    migration: new Emitter(),
    report: new Emitter(),
    ping: new Emitter(),
    traffic: new Emitter(),
  };
  private readonly consoles = new Map<string, FakeConsole>();
  private readonly cancelled = new Set<string>();
  private readonly slowness: number;
  private seq = 0;

  constructor(options: FakeOptions = {}) {
    this.slowness = options.slowness ?? 1;
    const others = (options.hosts ?? []).map((name, index): TabMotionHost => ({ id: `host-${index + 1}`, name, self: false, ready: true, vms: 0 }));
    this.state = {
      room: this.room,
      invitation: `http://${options.loopback === true ? 'localhost' : '192.168.1.20'}:8686/?room=default#Jt5bWm0yQ1xk7RzVhUe3Pg`,
      address: 'http://localhost:8686/?room=default#Jt5bWm0yQ1xk7RzVhUe3Pg',
      othersCanJoin: options.loopback !== true,
      owner: options.owner === true ? { address: 'http://192.168.1.20:8686/?room=default#Jt5bWm0yQ1xk7RzVhUe3Pg&owner=0yQ1xk7RzVhUe3PgJt5bWm' } : null,
      secure: options.secure ?? true,
      starting: null,
      trouble: options.trouble ?? null,
      hosts: [{ id: SELF, name: this.host.name, self: true, ready: true, vms: 0 }, ...others],
      vms: [],
      endedVms: options.ended ?? [],
      migrations: [],
      reports: [],
      log: [],
      standby: false,
      links: Object.fromEntries(others.map((host, index) => [host.id, index % 3 === 2 ? 'relay' : index % 3 === 1 ? 'local' : 'webrtc'] as const)),
    };
    if (options.starting === true) this.pretendStart();
    else for (let index = 0; index < (options.vms ?? 1); index++) this.addVm('running', index);
    setInterval(() => this.beat(), 100);
  }

  view(): TabView {
    return this.state;
  }
  hosts(): TabMotionHost[] {
    return [...this.state.hosts];
  }
  vms(): TabMotionVm[] {
    return [...this.state.vms];
  }
  onView(callback: () => void): () => void {
    const listening = this.changed.on(callback);
    return () => listening.dispose();
  }
  on<E extends keyof TabMotionEvents>(event: E, callback: (value: TabMotionEvents[E]) => void): () => void {
    const listening = this.emitters[event].on(callback);
    return () => listening.dispose();
  }
  console(vmId: string): TerminalConsole {
    const known = this.consoles.get(vmId);
    if (known === undefined) throw new Error(`There is no VM ${vmId} in this room.`);
    return known;
  }
  forwards(vmId: string): PortForward[] {
    return [...(this.state.vms.find((vm) => vm.id === vmId)?.forwards ?? [])];
  }
  addForward(vmId: string, guestPort: number, hostPort = 0): Promise<PortForward> {
    if (hostPort === 8686) return Promise.reject(new Error('Port 8686 of the host is taken: choose another, or 0 for any free one.'));
    const forward = { guestPort, hostPort: hostPort === 0 ? 41_000 + guestPort : hostPort };
    this.patch(vmId, { forwards: [...this.forwards(vmId), forward] });
    return Promise.resolve(forward);
  }
  removeForward(hostPort: number): Promise<void> {
    for (const vm of this.state.vms) this.patch(vm.id, { forwards: vm.forwards.filter((forward) => forward.hostPort !== hostPort) });
    return Promise.resolve();
  }
  private capturing = false;
  private readonly captureState = (): CaptureState => ({ running: this.capturing, frames: this.capturing ? 3_215 : 0, lost: 0 });
  readonly capture: RoomCapture = {
    state: () => Promise.resolve(this.captureState()),
    start: () => {
      this.capturing = true;
      return Promise.resolve(this.captureState());
    },
    download: () => Promise.resolve(new Blob(['pretended'])),
    stop: () => {
      this.capturing = false;
      return Promise.resolve();
    },
  };
  diagnostics(): Promise<Diagnostics> {
    return Promise.reject(new Error('There is nothing to report of a pretended room.'));
  }
  start(): Promise<TabMotionVm> {
    return Promise.resolve(this.addVm('running', this.state.vms.length));
  }
  cancel(vmId: string): Promise<void> {
    this.cancelled.add(vmId);
    return Promise.resolve();
  }
  attachScreen(_vmId: string, canvas: OffscreenCanvas | null): void {
    const context = canvas?.getContext('2d');
    if (canvas === null || context === null || context === undefined) return;
    canvas.width = 720;
    canvas.height = 400;
    context.fillStyle = '#000';
    context.fillRect(0, 0, 720, 400);
    context.fillStyle = '#aaa';
    context.font = '16px monospace';
    context.fillText('SeaBIOS (version 1.16)', 8, 24);
    context.fillText('Booting from Hard Disk...', 8, 56);
  }
  readonly sent: string[] = [];
  sendScancodes(vmId: string, codes: readonly number[]): void {
    this.sent.push(`${vmId} ${codes.map((code) => code.toString(16)).join(' ')}`);
  }
  sendMouse(vmId: string, dx: number, dy: number, buttons: readonly boolean[]): void {
    this.sent.push(`${vmId} mouse ${dx} ${dy} ${buttons.map((pressed, index) => (pressed ? 'LMR'.charAt(index) : '.')).join('')}`);
  }
  forget(vmId: string): Promise<void> {
    this.set({ vms: this.state.vms.filter((vm) => vm.id !== vmId) });
    return Promise.resolve();
  }
  changeKey(): Promise<void> {
    this.set({ invitation: this.state.invitation.replace(/#.*/, '#anotherKeyAnotherKey22') });
    return Promise.resolve();
  }
  removeHost(hostId: string): Promise<void> {
    if (this.state.vms.some((vm) => vm.hostId === hostId && vm.state === 'migrating'))
      return Promise.reject(new Error('pc1 is being handed over; try again in a moment.'));
    this.set({ hosts: this.state.hosts.filter((host) => host.id !== hostId), vms: this.state.vms.filter((vm) => vm.hostId !== hostId) });
    return this.changeKey();
  }
  closeRoom(): Promise<void> {
    this.set({ trouble: "The room's owner has closed the room. Its PCs have ended.", owner: null });
    return Promise.resolve();
  }
  dismissEnded(vmIds: readonly string[]): Promise<void> {
    this.set({ endedVms: this.state.endedVms.filter(({ id }) => !vmIds.includes(id)) });
    return Promise.resolve();
  }
  dismiss(vmId: string): void {
    this.set({ vms: this.state.vms.flatMap((vm) => (vm.id !== vmId ? [vm] : vm.ended ? [] : [{ ...vm, movedAway: false }])) });
  }

  async migrate(vmId: string, hostId: string, options: MigrateOptions = {}): Promise<MigrationReport> {
    const vm = this.state.vms.find((one) => one.id === vmId);
    if (vm === undefined) throw new Error(`There is no VM ${vmId} in this room.`);
    if (!this.state.hosts.some((host) => host.id === hostId)) throw new Error('That host is not in this room any more.');
    if (vm.state === 'migrating') throw new Error(`${vm.name} is already on its way.`);
    this.cancelled.delete(vmId);
    this.patch(vmId, { state: 'migrating' });
    const base = { id: `m${Date.now()}` as MigrationId, vmId: vmId as VmId, from: vm.hostId as HostId, to: hostId as HostId };
    const rounds: RoundFigures[] = [];
    let sent = 0;
    const cancelled = (): boolean => this.cancelled.has(vmId);
    const say = async (progress: Pick<MigrationProgress, 'phase' | 'round' | 'pagesLeft'>, ms: number): Promise<void> => {
      const whole = {
        ...base,
        ...progress,
        pagesSent: sent,
        bytesSent: sent * 1432,
        bytesPerSecond: sent === 0 ? 0 : 18_400_000,
        expectedPauseMs: progress.pagesLeft / 60 + 18,
      };
      this.set({ migrations: [...this.state.migrations.filter((one) => one.id !== base.id), whole] });
      this.emitters.migration.emit(whole);
      await new Promise((resolve) => setTimeout(resolve, ms * this.slowness));
    };
    await say({ phase: 'offer', round: 0, pagesLeft: 0 }, 150);
    await say({ phase: 'prepare', round: 0, pagesLeft: 0 }, 350);
    let round = 0;
    for (const pages of [1550, 212, 91]) {
      round++;
      for (let left = pages; left > 0 && !cancelled(); left -= 60) {
        await say({ phase: 'rounds', round, pagesLeft: left }, 40);
        sent += Math.min(60, left);
      }
      if (!cancelled()) rounds.push({ pages, bytes: pages * 1432, ms: pages * 0.7, dirtied: [212, 91, 38][round - 1] ?? 0 });
    }
    if (!cancelled()) {
      await say({ phase: 'hold', round: round + 1, pagesLeft: 38 }, 60);
      await say({ phase: 'switchover', round: round + 1, pagesLeft: 38 }, 60);
      sent += 38;
      await say({ phase: 'commit', round: round + 1, pagesLeft: 0 }, 40);
      rounds.push({ pages: 38, bytes: 38 * 1432, ms: 12, dirtied: 0 });
    }
    const report: MigrationReport = {
      ...base,
      rounds,
      memoryBytes: vm.memoryBytes,
      bytesOnWire: sent * 1432,
      totalMs: 1311 * this.slowness,
      link: 'webrtc',
      ...(cancelled()
        ? { outcome: 'cancelled' as const, reason: 'Somebody pressed Cancel.', cause: 'cancelled' as const, pauseMs: 0, downtime: null, verified: null }
        : { outcome: 'completed' as const, pauseMs: 31, downtime: null, verified: options.verify === true ? true : null }),
    };
    this.patch(
      vmId,
      cancelled()
        ? { state: 'running' }
        : {
            state: 'running',
            hostId,
            here: hostId === SELF,
            movedAway: vm.here && hostId !== SELF,
            epoch: vm.epoch + 1,
          },
    );
    this.set({
      migrations: this.state.migrations.filter((one) => one.id !== base.id),
      reports: [
        ...this.state.reports,
        { at: Date.now(), known: 'news', vmName: vm.name, toName: this.state.hosts.find((host) => host.id === hostId)?.name ?? '', report },
      ],
    });
    this.say(
      cancelled() ? 'info' : 'good',
      cancelled()
        ? `The move of ${vm.name} was cancelled. It runs on where it was.`
        : `${vm.name} moved to ${this.state.hosts.find((host) => host.id === hostId)?.name ?? ''}: paused for 31 ms, 1311 ms in all, 2.7 MB sent in 4 rounds over WebRTC.`,
    );
    this.emitters.report.emit(report);
    return report;
  }

  /** For scenes: changes one VM. */
  patch(vmId: string, change: Partial<VmView>): void {
    this.set({ vms: this.state.vms.map((vm) => (vm.id === vmId ? { ...vm, ...change } : vm)) });
  }

  say(level: LogLine['level'], text: string): void {
    this.set({ log: [...this.state.log, { at: Date.now(), level, vmId: null, text }] });
  }

  private set(change: Partial<TabView>): void {
    Object.assign(this.state, change);
    this.changed.emit(null);
  }

  private addVm(state: VmView['state'], index: number): VmView {
    const names = ['pc-1', 'pc-2', 'pc-3', 'pc-4'];
    const home = index === 0 ? this.state.hosts[0] : this.state.hosts[index % this.state.hosts.length];
    const hostId = home?.id ?? SELF;
    const vm: VmView = {
      id: `vm-${index + 1}`,
      name: names[index] ?? `pc-${index + 1}`,
      state,
      hostId,
      mac: `02:5a:00:00:00:0${index + 2}`,
      ip: `10.86.0.${index + 2}`,
      memoryBytes: 134_217_728,
      epoch: 1,
      here: hostId === SELF,
      movedAway: false,
      ownerPresent: true,
      forwards: [
        { guestPort: 22, hostPort: 40_022 + index },
        { guestPort: 80, hostPort: 40_080 + index },
      ],
      traffic: { vmId: `vm-${index + 1}`, framesFromGuest: 1_812, bytesFromGuest: 2_204_111, framesToGuest: 1_403, bytesToGuest: 104_250, dropped: 0 },
      password: 'quiet-harbour-71',
      waitingFor: null,
      ended: false,
    };
    this.consoles.set(vm.id, new FakeConsole());
    this.set({ vms: [...this.state.vms, vm] });
    this.say('info', `${vm.name} started in 1.4 s`);
    return vm;
  }

  private pretendStart(): void {
    let done = 0;
    const timer = setInterval(() => {
      done += 0.04;
      this.set({ starting: done < 1 ? { text: 'Loading the PC', fraction: done } : null });
      if (done < 1) return;
      clearInterval(timer);
      this.addVm('running', 0);
    }, 100);
    this.set({ starting: { text: 'Joining the room', fraction: null } });
  }

  private beat(): void {
    for (const vm of this.state.vms) {
      if (vm.ended) continue;
      const sample: PingSample = {
        vmId: vm.id,
        seq: this.seq++,
        rttMs: this.seq % 397 === 0 ? null : 0.6 + Math.random() * 2 + (this.seq % 151 === 0 ? 34 : 0),
      };
      this.emitters.ping.emit(sample);
    }
  }
}

class FakeConsole implements TerminalConsole {
  private fitting = { cols: 80, rows: 24 };
  writeBytes(bytes: Uint8Array): void {
    this.write(new TextDecoder().decode(bytes));
  }
  waiting(): number {
    return 0;
  }
  size(): ReturnType<TerminalConsole['size']> {
    return { ...this.fitting, holder: SELF };
  }
  fits(size: { cols: number; rows: number } | null): void {
    this.fitting = size ?? this.fitting;
  }
  used(): void {
    /* It is held here. */
  }
  private kept =
    '\r\nWelcome to the TabMotion guest.\r\n\r\nguest# uname -a\r\nLinux pc-1 6.1.0-42-686 #1 SMP PREEMPT_DYNAMIC Debian 6.1 i686 GNU/Linux\r\nguest# ticker 1000\r\n';
  private readonly data = new Emitter<string>();
  private count = 0;

  constructor() {
    setInterval(() => this.out(`ticker ${++this.count} gap=${1000 + Math.round(Math.random() * 4)}\r\n`), 1000);
  }
  write(text: string): void {
    this.out(text === '\r' ? '\r\nguest# ' : text);
  }
  text(): string {
    return this.kept;
  }
  onData(callback: (text: string) => void): () => void {
    const listening = this.data.on(callback);
    return () => listening.dispose();
  }
  bytes(): Uint8Array {
    return new TextEncoder().encode(this.kept);
  }
  onBytes(callback: (data: Uint8Array) => void): () => void {
    return this.onData((text) => callback(new TextEncoder().encode(text)));
  }
  private out(text: string): void {
    this.kept += text;
    this.data.emit(text);
  }
}
