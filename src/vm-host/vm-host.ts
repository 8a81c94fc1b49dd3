/**
 * Runs in a VM's worker: one machine, its port at the relay, its agent, its console, and its migrations. It combines
 * the adapters, and talks to its host with the messages of `vm-worker-messages.ts`. It runs in a browser's Worker and
 * in Node's; the differences between the two are passed in (`VmHostPlatform`).
 */
import type { GuestLoadProgress, GuestSet, LoadingGuest, PcParts } from '../emulator-bridge/guest-artefacts.ts';
import type { Machine, MachineEnd } from '../emulator-bridge/machine.ts';
import type { Clock } from '../shared/clock.ts';
import type { OpenSocket } from '../net-relay/client/open-socket.ts';
import { attachOwner } from '../net-relay/client/port-client.ts';
import { disposable, DisposableBag } from '../shared/disposable.ts';
import type { LeaseEpoch } from '../shared/ids.ts';
import type { ConsoleSize, FromVmWorker, GuestEnd, RelayAccess, ToVmWorker, VmIdentity } from './vm-worker-messages.ts';
import { ConsoleGate, MAX_HELD_PIECES, type ConsoleInputHeard } from './console-gate.ts';
import { GuestAgent } from './guest-agent.ts';
import { GuestWallClock } from './guest-wall-clock.ts';
import { migrateAway, type Departure } from './migrate-away.ts';
import type { Stage } from './rehearsal.ts';
import { receiveVm, type Arriving } from './receive-vm.ts';
import type { MigrationEngines, ResidentVm, WorkerContext } from './worker-context.ts';

/** What the runtime gives. */
export interface VmHostPlatform {
  /** To the host that made the worker. */
  readonly post: (message: FromVmWorker) => void;
  /** Called once; `heard` with every message of the host's, in order. */
  readonly listen: (heard: (message: ToVmWorker) => void) => void;
  readonly openSocket: OpenSocket;
  readonly clock: Clock;
  /** Resolves in a later task, as soon as the event loop comes round: the guest's turn. */
  readonly nextTask: () => Promise<void>;
  /** Begins to load the guest that this manifest describes. */
  readonly loadGuest: (manifestUrl: string, onProgress: (progress: GuestLoadProgress) => void) => LoadingGuest;
  /** Reads a guest that another worker has loaded. */
  readonly openGuest: (guest: GuestSet) => LoadingGuest;
  /** A machine without its base snapshot. */
  readonly createMachine: (pc: PcParts) => Promise<Machine>;
  readonly createEngines: () => Promise<MigrationEngines>;
  /** Runs the code of a move as a rehearsal (rehearsal.ts), until it is not wanted any more. */
  readonly rehearse: (stage: Stage, isWanted: () => boolean) => Promise<void>;
}

/** A VM that has just started or arrived needs the processor for other things. */
const REHEARSE_AFTER_MS = 2500;
/** How long a new machine rests before its first rehearsal: in a tab's first worker, a VM may start at once. */
const REST_MS = { load: 500, prepare: 0 } as const;
const FORGOTTEN = 'The room has forgotten this PC while this tab was away, so it was ended here.';

/** Serves the worker's host for as long as the worker lives. */
export function runVmHost(platform: VmHostPlatform): void {
  const { post, listen } = platform;
  let engines: Promise<MigrationEngines> | null = null;
  let context: WorkerContext | null = null;
  let machine = notPrepared();
  let resident: ResidentVm | null = null;
  let departure: Departure | null = null;
  let arriving: Arriving | null = null;
  const desk = new Desk();
  const underway: Underway = {
    vmEnded: (reason) => departure?.vmEnded(reason),
    settled: () => (departure ?? arriving)?.done ?? Promise.resolve(),
  };

  const fail = (error: unknown): void => post({ type: 'failed', reason: error instanceof Error ? error.message : String(error) });

  function settle(vm: ResidentVm): void {
    resident = vm;
    desk.settle(vm);
    platform.clock.setTimeout(() => rehearse(platform, machine, engines, () => resident === vm && departure === null), REHEARSE_AFTER_MS);
  }

  listen((message) => {
    switch (message.type) {
      case 'load':
      case 'prepare':
        engines = enginesOf(platform);
        machine = buildMachine(message.type === 'load' ? loadGuest(message.manifestUrl, platform) : platform.openGuest(message.guest), platform);
        machine.then(() => platform.clock.setTimeout(() => rehearse(platform, machine, engines, () => context === null), REST_MS[message.type]), fail);
        break;
      case 'join':
        context = makeContext(message.relay, need(engines), platform, underway);
        break;
      case 'start': {
        const ready = need(context);
        machine.then((built) => startVm(built, message.vm, message.epoch as LeaseEpoch, ready)).then(settle, fail);
        break;
      }
      case 'receive': {
        const ready = need(context);
        arriving = receiveVm(message, machine, ready);
        void arriving.done.then((arrived) => {
          arriving = null;
          if (arrived !== null) settle(arrived);
        }, fail);
        break;
      }
      case 'migrate': {
        if (resident === null) {
          fail(new Error('There is no VM here to move.'));
          break;
        }
        const leaving = resident;
        departure = migrateAway(message, leaving, need(context));
        void departure.done.then((report) => {
          departure = null;
          const { end } = leaving.machine;
          if (report.outcome === 'completed') resident = null;
          post({ type: 'report', report, guestEnd: end === null ? null : guestEnd(end), epoch: leaving.port.epoch });
        }, fail);
        break;
      }
      case 'next-link':
        (departure ?? arriving)?.linkOpened(message.attempt, message.ends);
        break;
      case 'no-link':
        departure?.noLink(message.reason);
        break;
      case 'cancel': // If the migration has already ended, its report is on its way to the page.
        departure?.cancel();
        break;
      case 'target-left':
        departure?.targetLeft();
        break;
      default:
        desk.heard(message, resident);
    }
  });
}

function notPrepared(): Promise<Machine> {
  const machine = Promise.reject<Machine>(new Error('The worker was not prepared.'));
  machine.catch(() => undefined);
  return machine;
}

/** A person's screen, keyboard, mouse and console; they exist before the VM does. */
class Desk {
  private screen: OffscreenCanvas | null = null;
  private size: ConsoleSize | null = null;
  /** Typed before the VM runs here. */
  private readonly earlyInput: ConsoleInputHeard[] = [];

  /** The VM runs here now. */
  settle(vm: ResidentVm): void {
    if (this.screen !== null) vm.machine.screen.attach(this.screen);
    if (this.size !== null) vm.agent.resize(this.size);
    for (const heard of this.earlyInput.splice(0)) vm.console.input(heard);
  }

  heard(message: Extract<ToVmWorker, { type: 'console-input' | 'console-size' | 'screen' | 'scancodes' | 'mouse' }>, resident: ResidentVm | null): void {
    switch (message.type) {
      case 'console-input':
        if (resident !== null) resident.console.input(message);
        else if (this.earlyInput.length < MAX_HELD_PIECES) this.earlyInput.push(message);
        break;
      case 'console-size':
        this.size = { cols: message.cols, rows: message.rows };
        resident?.agent.resize(this.size);
        break;
      case 'screen':
        this.screen = message.canvas;
        resident?.machine.screen.attach(this.screen);
        break;
      case 'scancodes':
        resident?.machine.screen.sendScancodes(message.codes);
        break;
      case 'mouse':
        resident?.machine.screen.sendMouse(message.dx, message.dy, message.buttons);
        break;
    }
  }
}

function enginesOf({ createEngines }: VmHostPlatform): Promise<MigrationEngines> {
  const engines = createEngines();
  // A migration that needs the engines reports why they are missing.
  engines.catch(() => undefined);
  return engines;
}

/** Ignores errors: in a real move they happen again, and are reported there. */
function rehearse(platform: VmHostPlatform, machine: Promise<Machine>, engines: Promise<MigrationEngines> | null, isWanted: () => boolean): void {
  const { clock, nextTask } = platform;
  if (isWanted())
    Promise.all([machine, need(engines)])
      .then(([built, ready]) => platform.rehearse({ machine: built, engines: ready, clock, nextTask }, isWanted))
      .catch(() => undefined);
}

function need<T>(value: T | null): T {
  if (value === null) throw new Error('The page sent its messages in the wrong order.');
  return value;
}

/** Loads the guest, and reports to the page: how far it is, and at last the guest itself, for other workers. */
function loadGuest(manifestUrl: string, { loadGuest: load, post }: VmHostPlatform): LoadingGuest {
  let told = -1;
  const guest = load(manifestUrl, ({ receivedBytes, totalBytes }) => {
    const percent = Math.floor((100 * receivedBytes) / totalBytes);
    if (percent > told) post({ type: 'loading', share: percent / 100 });
    told = Math.max(told, percent);
  });
  // A load that fails is reported by the machine that it was for.
  guest.whole.then(
    (whole) => post({ type: 'loaded', guest: whole }),
    () => undefined,
  );
  return guest;
}

async function buildMachine(guest: LoadingGuest, { createMachine, post }: VmHostPlatform): Promise<Machine> {
  const machine = await createMachine(await guest.pc);
  machine.onTrouble((sentence) => post({ type: 'log', level: 'bad', text: sentence }));
  machine.loadBaseSnapshot(await guest.base);
  post({ type: 'prepared' });
  return machine;
}

function guestEnd({ kind, sentence }: MachineEnd): GuestEnd {
  return { reason: sentence, orderly: kind === 'switched-off' };
}

/** Undefined for a guest that powered off: the engine has its own sentence for that. */
function whyNotMoved({ kind, sentence }: MachineEnd): string | undefined {
  return kind === 'switched-off' ? undefined : `The VM ended before it could be moved. ${sentence}`;
}

/** The migration under way in this worker, in either direction, as seen by the code that ends the VM. */
interface Underway {
  /** There is nothing left to move. */
  vmEnded(reason?: string): void;
  /** Resolves once the migration has reported its end; at once if there is no migration. */
  settled(): Promise<unknown>;
}

function makeContext(
  relay: RelayAccess,
  engines: Promise<MigrationEngines>,
  { clock, nextTask, openSocket, post }: VmHostPlatform,
  underway: Underway,
): WorkerContext {
  return {
    relay,
    clock,
    nextTask,
    openSocket,
    post,
    engines,
    connect(machine, luggage) {
      machine.onState((state) => {
        if (state !== 'powered-off' || machine.end === null) return;
        const end = machine.end;
        underway.vmEnded(whyNotMoved(end));
        void underway.settled().then(() => post({ type: 'ended', ...guestEnd(end) }));
      });
      return {
        console: new ConsoleGate(
          machine,
          {
            output: (data) => post({ type: 'console', data }),
            applied: (writer, count) => post({ type: 'console-applied', writer, count }),
          },
          luggage,
        ),
        agent: new GuestAgent(machine.agent, clock),
      };
    },
    watchPort(port) {
      const bag = new DisposableBag();
      let lost = false;
      bag.add(
        port.onState((state) => {
          if (state.kind === 'lost' && !lost) {
            lost = true;
            post({ type: 'log', level: 'bad', text: `The VM's network port is cut off: ${state.reason}` });
          } else if (state.kind === 'connected' && lost) {
            lost = false;
            post({ type: 'log', level: 'good', text: "The VM's network port is connected again." });
          } else if (state.kind === 'refused' && state.cause === 'unknown-vm') {
            // Its address may already belong to another VM, so it can never get a network again.
            underway.vmEnded(FORGOTTEN);
            void underway.settled().then(() => post({ type: 'failed', reason: FORGOTTEN }));
          } else if (state.kind === 'refused') {
            post({ type: 'log', level: 'bad', text: `The relay refused the VM's network port: ${state.reason}` });
          }
        }),
      );
      return disposable(() => bag.dispose());
    },
  };
}

async function startVm(machine: Machine, identity: VmIdentity, epoch: LeaseEpoch, context: WorkerContext): Promise<ResidentVm> {
  const { console, agent } = context.connect(machine);
  machine.network.setMac(identity.mac);
  const { url, ...credentials } = context.relay;
  const port = attachOwner({
    url: `${url}/port`,
    credentials,
    vmId: identity.vmId,
    epoch,
    nic: machine.network,
    clock: context.clock,
    openSocket: context.openSocket,
  });
  context.watchPort(port);
  context.post({ type: 'console', data: machine.scrollback() });
  await machine.run(0);
  const wallClock = new GuestWallClock({ machine, agent, serverTime: port.serverTime, clock: context.clock });
  // The shell starts when the seed arrives. It does not wait for the server's time, which only the identity needs.
  void agent.seed();
  void wallClock
    .known()
    .then(() => agent.identity(identity, wallClock.moment))
    .then((answer) => {
      void wallClock.begin();
      if (answer === null) context.post({ type: 'log', level: 'bad', text: 'The guest did not take its identity; it may have no network. Start another VM.' });
      context.post({ type: 'running', epoch: port.epoch });
    });
  return { machine, identity, port, agent, wallClock, console };
}
