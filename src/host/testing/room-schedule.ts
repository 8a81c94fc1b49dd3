/**
 * One schedule of the room machine, drawn from a seed: what people do in a room, and what goes wrong at the same time.
 * Once everything works again and some time has passed, every tab must tell the same true story.
 */
import { SeededRandom } from '../../migration/testing/seeded-random.ts';
import type { MigrationReport } from '../../migration/report.ts';
import { RoomMachine, type ListedVm, type ModelTab } from './room-machine.ts';

/** Upper limits of the time between two events. Most faults happen while something is in progress. */
const SOON_MS = 250;
const LATER_MS = 4000;
/** The longest time that a computer sleeps or the relay is away. */
const AWAY_MS = 25_000;
/** Within this time after everything works again, the story must be true; it must stay true. */
const SETTLE_MS = 75_000;
/** How often the story is checked; in most schedules it is true at once. */
const LOOK_MS = 5000;
/** The share of schedules that are watched to the end. */
const WATCHED = 0.1;
const EVENTS = 8;

/** What somebody asked for. */
interface Asked {
  readonly what: string;
  readonly by: ModelTab;
  readonly at: number;
  readonly kind: 'migrate' | 'cancel' | 'start';
  readonly vmId: string | null;
  settled: 'yes' | 'no' | 'twice';
  settledAt: number | null;
  answer: unknown;
}

export class RoomSchedule {
  readonly room: RoomMachine;
  readonly asked: Asked[] = [];
  /** What happened, for a failure's message. */
  readonly told: string[] = [];
  /** VMs for which something happened that ends a VM: if one of these is no longer listed, that is not a loss. */
  private readonly mayHaveEnded = new Set<string>();
  private readonly everyVm = new Set<string>();
  private readonly random: SeededRandom;
  private readonly asleep = new Map<ModelTab, number>();
  private relayBackAt: number | null = null;

  constructor(seed: number) {
    this.room = new RoomMachine(seed);
    this.random = new SeededRandom(seed ^ 0x5eed);
  }

  async run(): Promise<void> {
    const { room, random } = this;
    const first = room.open();
    await room.pass(6000);
    if (room.listed().length !== 1) throw new Error(`No VM was started: ${JSON.stringify(first.tab.view().log)}`);
    for (let tabs = 1 + random.below(2); tabs > 0; tabs--) room.open();
    await room.pass(random.below(6000));
    this.migrate();
    for (let event = 2 + random.below(EVENTS); event > 0; event--) {
      await this.pass(random.chance(0.7) ? random.below(SOON_MS) : random.below(LATER_MS));
      this.happens();
    }
    await this.pass(random.below(LATER_MS));
    for (const tab of [...this.asleep.keys()]) this.wake(tab);
    if (!room.relayIsUp) this.restartRelay();
    const settled = this.now + SETTLE_MS;
    const isWatched = random.chance(WATCHED);
    do await this.pass(LOOK_MS);
    while (this.now < settled && (isWatched || this.untrue().length > 0));
  }

  /** What is wrong in the end; empty if nothing is. */
  async faults(): Promise<string[]> {
    const faults = this.untrue();
    return faults.length > 0 ? faults : this.room.leftovers();
  }

  private untrue(): string[] {
    return [...this.unsettled(), ...this.untrueVms(), ...this.untrueReports(), ...this.untrueAnswers()];
  }

  private get now(): number {
    return this.room.world.clock.now();
  }

  private note(what: string): void {
    this.room.world.note(`--- ${what}`);
    this.told.push(`${Math.round(this.now)} ${what}`);
  }

  /** Lets time pass; sleeping tabs and an absent relay come back when it is time. */
  private async pass(ms: number): Promise<void> {
    const { clock } = this.room.world;
    const until = clock.now() + ms;
    for (;;) {
      const [due] = [...this.asleep].sort((a, b) => a[1] - b[1]);
      const next = Math.min(until, due?.[1] ?? until, this.relayBackAt ?? until);
      await this.room.pass(Math.max(0, next - clock.now()));
      if (this.relayBackAt !== null && clock.now() >= this.relayBackAt) this.restartRelay();
      else if (due !== undefined && clock.now() >= due[1]) this.wake(due[0]);
      else if (clock.now() >= until) return;
    }
  }

  private happens(): void {
    const { room, random } = this;
    const tab = random.pick(room.live);
    const awake = room.live.filter((one) => !this.asleep.has(one));
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        this.migrate();
        break;
      case 3:
        this.cancel();
        break;
      case 4:
      case 5:
        this.note(`${tab.name}: its connections break`);
        room.breakSockets(tab, ...random.pick([['toServer'], ['toClient'], ['toServer', 'toClient'], []] as const));
        break;
      case 6:
        if (this.asleep.has(tab)) break;
        this.note(`${tab.name} sleeps`);
        room.freeze(tab);
        this.asleep.set(tab, room.world.clock.now() + random.below(random.chance(0.5) ? 3000 : AWAY_MS));
        break;
      case 7:
        if (!room.relayIsUp) break;
        this.note('the relay crashes');
        room.crashRelay(random.chance(0.7));
        this.relayBackAt = room.world.clock.now() + random.below(random.chance(0.6) ? 1500 : AWAY_MS);
        break;
      case 8: {
        if (room.live.length < 2) break;
        const politely = random.chance(0.5) && !this.asleep.has(tab);
        this.note(`${tab.name} ${politely ? 'is closed' : 'dies'}`);
        this.endsWith(tab);
        if (politely) room.close(tab);
        else room.kill(tab, random.chance(0.7));
        this.asleep.delete(tab);
        break;
      }
      case 9:
        if (room.live.length >= 4) break;
        this.note(`${room.open().name} is opened`);
        break;
      case 10: {
        const workers = room.live
          .flatMap((one) => one.workers)
          .filter((worker) => worker.running !== null && !this.asleep.has(room.live.find((one) => one.workers.includes(worker))!));
        if (workers.length === 0) break;
        const worker = random.pick(workers);
        // A VM that has just arrived has not yet said which one it is.
        for (const id of worker.vmId === null ? this.vmsAsSeen() : [worker.vmId]) this.mayHaveEnded.add(id);
        if (random.chance(0.7)) {
          this.note('a guest powers off');
          worker.running?.powerOff();
        } else {
          this.note('a worker crashes');
          worker.crash();
        }
        break;
      }
      default:
        if (awake.length === 0) break;
        this.start(random.pick(awake));
    }
  }

  private migrate(): void {
    const { room, random } = this;
    const vms = this.vmsAsSeen();
    const by = this.somebody();
    if (by === null || vms.length === 0) return;
    const vmId = random.pick(vms);
    const owner = room.listed().find(({ id }) => id === vmId)?.ownerHostId;
    const others = room.live.filter(({ tab }) => tab.host.id !== owner);
    const to = others.length === 0 || random.chance(0.05) ? random.pick(room.live) : random.pick(others);
    this.watch('migrate', vmId, `${by.name} moves ${vmId} to ${to.name}`, by, () => by.tab.migrate(vmId, to.tab.host.id));
  }

  private cancel(): void {
    const vms = this.vmsAsSeen();
    const by = this.somebody();
    if (by === null || vms.length === 0) return;
    const vmId = this.random.pick(vms);
    this.watch('cancel', vmId, `${by.name} cancels the move of ${vmId}`, by, () => by.tab.cancel(vmId));
  }

  private start(by: ModelTab): void {
    this.watch('start', null, `${by.name} starts a VM`, by, () => by.tab.start());
  }

  private watch(kind: Asked['kind'], vmId: string | null, what: string, by: ModelTab, ask: () => Promise<unknown>): void {
    this.note(what);
    const asked: Asked = { kind, vmId, what, by, at: this.now, settled: 'no', settledAt: null, answer: null };
    this.asked.push(asked);
    const settled = (answer: unknown): void => {
      asked.settled = asked.settled === 'no' ? 'yes' : 'twice';
      asked.settledAt = this.now;
      asked.answer = answer;
      this.told.push(
        `${Math.round(this.now)} ... ${what}: ${answer instanceof Error ? answer.message : kind === 'migrate' ? this.brief(answer as MigrationReport) : 'done'}`,
      );
    };
    void ask().then(settled, (error: unknown) => settled(error instanceof Error ? error : new Error(String(error))));
  }

  private brief({ outcome, cause, reason }: MigrationReport): string {
    return `${outcome} ${cause ?? ''} ${reason ?? ''}`;
  }

  private somebody(): ModelTab | null {
    const awake = this.room.live.filter((tab) => !this.asleep.has(tab));
    return awake.length === 0 ? null : this.random.pick(awake);
  }

  private vmsAsSeen(): readonly string[] {
    const listed = this.room.listed().map(({ id }) => id);
    for (const id of listed) this.everyVm.add(id);
    return listed;
  }

  /** A tab goes away: its VMs are over, or were about to be. */
  private endsWith(tab: ModelTab): void {
    // Notes all VMs: those of other tabs must not be lost with this tab.
    this.vmsAsSeen();
    for (const { vmId, machines } of tab.workers) if (vmId !== null && machines.length > 0) this.mayHaveEnded.add(vmId);
    for (const { id, ownerHostId } of this.room.listed()) if (ownerHostId === tab.tab.host.id) this.mayHaveEnded.add(id);
  }

  private wake(tab: ModelTab): void {
    this.note(`${tab.name} wakes up`);
    this.asleep.delete(tab);
    this.room.thaw(tab);
  }

  private restartRelay(): void {
    this.note('the relay is started again');
    this.relayBackAt = null;
    this.room.restartRelay();
  }

  /** Every request of a tab that is still here must have been settled exactly once. */
  private unsettled(): string[] {
    return this.asked
      .filter(({ by, settled }) => settled === 'twice' || (settled === 'no' && !by.gone))
      .map(({ what, settled }) => `${what}: ${settled === 'no' ? 'never settled' : 'settled twice'}`);
  }

  /** Each tab must list what the relay lists; each VM must execute where its lease is, and nowhere else. */
  private untrueVms(): string[] {
    const { room } = this;
    const faults: string[] = [];
    const listed = room.listed();
    const story = (vms: readonly { readonly id: string; readonly hostId: string; readonly state: string }[]): string =>
      vms
        .map(({ id, hostId, state }) => `${id} at ${hostId} ${state}`)
        .sort()
        .join(', ');
    const present = (vm: ListedVm): boolean => room.live.some(({ tab }) => tab.host.id === vm.ownerHostId);
    for (const tab of room.live) {
      const { host } = tab;
      if (!room.hostIds().includes(tab.tab.host.id)) faults.push(`${tab.name} is not in the room`);
      const told = story(room.views(tab).filter(({ id }) => listed.some((vm) => vm.id === id && present(vm))));
      const truth = story(listed.filter(present).map(({ id, ownerHostId }) => ({ id, hostId: ownerHostId, state: 'running' })));
      if (told !== truth) faults.push(`${tab.name} tells [${told}], and true is [${truth}]`);
      const more = room.views(tab).filter(({ id }) => !listed.some((vm) => vm.id === id));
      if (more.length > 0) faults.push(`${tab.name} lists ${more.map(({ id, state }) => `${id} ${state}`).join(', ')}, which the relay does not know`);
      const underway = tab.tab.view().migrations;
      if (underway.length > 0) faults.push(`${tab.name} takes for under way: ${JSON.stringify(underway)}`);
      if (!host.isUp) faults.push(`${tab.name} is not up`);
    }
    for (const vm of listed) {
      const workers = room.runsIn(vm.id);
      const owners = room.live.find(({ tab }) => tab.host.id === vm.ownerHostId);
      if (owners === undefined ? workers.length > 0 : workers.length !== 1 || !owners.workers.includes(workers[0]!)) {
        faults.push(
          `${vm.id}, whose lease is at ${owners?.name ?? 'a tab that is gone'}, executes in ${
            room.live
              .filter((tab) => workers.some((worker) => tab.workers.includes(worker)))
              .map(({ name }) => name)
              .join(' and ') || 'no tab'
          }`,
        );
      }
    }
    for (const id of this.everyVm) {
      const isListed = listed.some((vm) => vm.id === id);
      if (!isListed && room.runsIn(id).length > 0) faults.push(`${id} executes, and the relay does not know it`);
      if (!isListed && !this.mayHaveEnded.has(id)) faults.push(`${id} is lost`);
    }
    return faults;
  }

  /** Each tab must hear the end of a migration at most once, and all tabs must hear the same. */
  private untrueReports(): string[] {
    const faults: string[] = [];
    const outcomes = new Map<string, string>();
    for (const tab of this.room.live) {
      for (const [id, times] of tab.reportsHeard) if (times > 1) faults.push(`${tab.name} heard ${times} times that ${id} ended`);
      for (const { known, report } of tab.tab.view().reports) {
        if (known === 'refusal') continue;
        const told = `${report.outcome} ${report.from} ${report.to}`;
        if ((outcomes.get(report.id) ?? told) !== told) faults.push(`${tab.name} tells of ${report.id} '${told}', another '${outcomes.get(report.id) ?? ''}'`);
        outcomes.set(report.id, told);
      }
    }
    return faults;
  }

  /** The answer to a request must match what really happened. */
  private untrueAnswers(): string[] {
    const faults: string[] = [];
    for (const { kind, vmId, what, by, at, settledAt, answer } of this.asked) {
      if (settledAt === null) continue;
      if (kind === 'start' && answer instanceof Error && /started/.test(answer.message)) faults.push(`${what}: ${answer.message}`);
      if (kind === 'migrate' && answer instanceof Error) faults.push(`${what} rejects: ${answer.message}`);
      if (kind !== 'cancel' || answer instanceof Error) continue;
      const cancelled = this.asked.filter(
        (one) => one.kind === 'migrate' && one.vmId === vmId && one.by === by && one.at <= at && (one.settledAt ?? Infinity) > at,
      );
      for (const one of cancelled)
        if (one.answer !== null && (one.answer as MigrationReport).outcome === 'completed' && (one.settledAt ?? 0) <= settledAt)
          faults.push(`${what} was obeyed, and ${one.what} completed`);
    }
    // Only if no tab is gone are all reports available.
    if (this.room.tabs.some(({ gone }) => gone)) return faults;
    for (const { id, epoch, ownerHostId } of this.room.listed()) {
      const moves = [...this.endedMigrations(id)].filter(({ outcome }) => outcome === 'completed');
      if ((epoch - 1 - moves.length) % 2 !== 0 || epoch - 1 < moves.length)
        faults.push(`${id} is at epoch ${epoch}, and was told to have moved ${moves.length} times`);
      if (moves.length > 0 && moves.filter(({ to }) => to === ownerHostId).length < moves.filter(({ from }) => from === ownerHostId).length)
        faults.push(`${id} is told to have left the tab that it is in`);
    }
    return faults;
  }

  /** Each migration once, however many tabs report it. */
  private endedMigrations(vmId: string): Iterable<MigrationReport> {
    const reports = this.room.live.flatMap(({ tab }) => tab.view().reports).filter(({ known, report }) => known !== 'refusal' && report.vmId === vmId);
    return new Map(reports.map(({ report }) => [report.id, report])).values();
  }
}
