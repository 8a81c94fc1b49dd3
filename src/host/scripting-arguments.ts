/**
 * What scripts may pass to `window.tabmotion`. A wrong argument causes an Error whose message is a sentence that says what
 * is wanted; calls that return a promise reject with it. Behind this check, arguments have the types they declare.
 */
import type { MigrateOptions, RoomCapture, TabMotion, TabMotionEvents, VmConsole } from './scripting-interface.ts';

export interface KnownThings {
  /** Why this tab is in no room, or null. */
  refusal(): string | null;
  /** The room has the VM, or this tab has its console. */
  hasVm(vmId: string): boolean;
  /** The room has the VM now. */
  runsVm(vmId: string): boolean;
  isVmName(name: string): boolean;
}

const EVENTS: readonly (keyof TabMotionEvents)[] = ['hosts', 'vms', 'migration', 'report', 'ping', 'traffic'];
const MODES: readonly unknown[] = ['pre-copy'] satisfies MigrateOptions['mode'][];
const MAX_NAME_CHARACTERS = 64;
const MAX_PAUSE_MS = 60_000;
const MIN_BANDWIDTH = 1024;
const MAX_PORT = 65_535;
const MAX_QUOTED_CHARACTERS = 40;

/** `tab` with its arguments checked, and otherwise unchanged. */
export function checkArguments<T extends Omit<TabMotion, 'console'> & { console(vmId: string): VmConsole }>(tab: T, known: KnownThings): T {
  const vm = (given: unknown, member: string): string => {
    const value = vmId(given, member);
    if (known.hasVm(value)) return value;
    throw new Error(
      known.isVmName(value)
        ? `${quoted(value)} is a VM's name; ${member} takes its id, as vms() tells it.`
        : `There is no VM with the id ${quoted(value)} in this room.`,
    );
  };
  const joined = (): void => {
    const refusal = known.refusal();
    if (refusal !== null) throw new Error(refusal);
  };
  return {
    ...tab,
    // Read at each use, not copied now: the relay may add a number to the name.
    get host() {
      return tab.host;
    },
    start: async (given) => {
      joined();
      const options = optionsOf(given, 'start', ['name', 'memoryMiB']);
      const { name, memoryMiB } = options;
      if (name !== undefined && (typeof name !== 'string' || name.trim() === '' || name.length > MAX_NAME_CHARACTERS)) {
        throw new Error(`name is a text of 1 to ${MAX_NAME_CHARACTERS} characters, not ${quoted(name)}.`);
      }
      optional(memoryMiB, 'memoryMiB', 1, Infinity, 'of MiB');
      return tab.start(options);
    },
    // If the VM or the host does not exist, the report says so.
    migrate: async (movedVm, target, given) => {
      joined();
      const options = optionsOf(given, 'migrate', ['maxPauseMs', 'bandwidthBytesPerSecond', 'verify', 'mode']);
      const { maxPauseMs, bandwidthBytesPerSecond, verify, mode } = options;
      optional(maxPauseMs, 'maxPauseMs', 1, MAX_PAUSE_MS, 'of milliseconds');
      optional(bandwidthBytesPerSecond, 'bandwidthBytesPerSecond', MIN_BANDWIDTH, Infinity, 'of bytes');
      if (verify !== undefined && typeof verify !== 'boolean') throw new Error(`verify is true or false, not ${quoted(verify)}.`);
      if (mode !== undefined && !MODES.includes(mode)) throw new Error(`mode is 'pre-copy', not ${quoted(mode)}.`);
      return tab.migrate(vmId(movedVm, 'migrate'), hostId(target, 'migrate'), options);
    },
    cancel: async (given) => {
      joined();
      return tab.cancel(vm(given, 'cancel'));
    },
    console(given) {
      const id = vm(given, 'console');
      const console = tab.console(id);
      return {
        ...console,
        write(text) {
          if (typeof text !== 'string') throw new Error(`write takes a text, not ${quoted(text)}.`);
          if (!known.runsVm(id)) throw new Error('This VM has ended; there is nobody to type for.');
          console.write(text);
        },
        onData: (callback) => console.onData(callable(callback, 'onData')),
      };
    },
    forwards: (given) => tab.forwards(vm(given, 'forwards')),
    addForward: async (given, guestPort, hostPort = 0) => {
      joined();
      const id = vm(given, 'addForward');
      port(guestPort, 'A guest port', 1);
      port(hostPort, 'A host port', 0);
      return tab.addForward(id, guestPort, hostPort);
    },
    removeForward: async (hostPort) => {
      joined();
      port(hostPort, 'A host port', 1);
      return tab.removeForward(hostPort);
    },
    capture: onlyOnceJoined(tab.capture, joined),
    on(event, callback) {
      if (!EVENTS.includes(event)) throw new Error(`There is no event ${quoted(event)}. Events are ${EVENTS.join(', ')}.`);
      return tab.on(event, callable(callback, 'on'));
    },
  };
}

/** `joined` throws if the tab is in no room. */
function onlyOnceJoined(capture: RoomCapture, joined: () => void): RoomCapture {
  const checked =
    <T>(ask: () => Promise<T>) =>
    async (): Promise<T> => {
      joined();
      return ask();
    };
  return {
    state: checked(() => capture.state()),
    start: checked(() => capture.start()),
    download: checked(() => capture.download()),
    stop: checked(() => capture.stop()),
  };
}

function vmId(value: unknown, member: string): string {
  if (typeof value === 'string') return value;
  throw new Error(`${member} takes the id of a VM, as vms() tells it, not ${quoted(value)}.`);
}

function hostId(value: unknown, member: string): string {
  if (typeof value === 'string') return value;
  throw new Error(`${member} takes the id of a host, as hosts() tells it, not ${quoted(value)}.`);
}

/** The options as an object; throws if it has any other options. */
function optionsOf<Options extends object>(given: Options | undefined, member: string, names: readonly (string & keyof Options)[]): Options {
  if (given === undefined) return {} as Options;
  const value: unknown = given;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`The options of ${member} are an object, not ${quoted(value)}.`);
  const unknown = Object.keys(value).find((name) => !names.some((one) => one === name));
  if (unknown !== undefined) throw new Error(`${member} has no option ${quoted(unknown)}. Its options are ${names.join(', ')}.`);
  return given;
}

function optional(value: unknown, name: string, least: number, most: number, unit: string): void {
  if (value === undefined) return;
  if (typeof value === 'number' && value >= least && value <= most && value < Infinity) return;
  throw new Error(`${name} is a number ${unit} ${most === Infinity ? `from ${least} up` : `from ${least} to ${most}`}, not ${quoted(value)}.`);
}

function port(value: unknown, what: string, least: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= MAX_PORT) return;
  throw new Error(`${what} is a whole number from ${least} to ${MAX_PORT}, not ${quoted(value)}.`);
}

function callable<F>(callback: F, member: string): F {
  if (typeof callback !== 'function') throw new Error(`${member} takes a function to call, not ${quoted(callback)}.`);
  return callback;
}

/** The value as it was written, or its type. */
function quoted(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length > MAX_QUOTED_CHARACTERS ? `'${value.slice(0, MAX_QUOTED_CHARACTERS)}…'` : `'${value}'`;
    case 'number':
    case 'boolean':
    case 'bigint':
    case 'undefined':
      return String(value);
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    default:
      return value === null ? 'null' : Array.isArray(value) ? 'a list' : 'an object';
  }
}
