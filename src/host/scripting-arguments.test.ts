import { beforeEach, describe, expect, it } from 'vitest';
import { checkArguments } from './scripting-arguments.ts';
import type { TabMotion, TabMotionVm, VmConsole } from './scripting-interface.ts';
import { browserPlatform } from './tab-platform.ts';
import { openTab } from './tab.ts';

const VM = 'vm-1';
const ENDED = 'vm-0';
const HOST = 'host-2';

/** Calls that passed the check. */
let passed: string[];
let refusal: string | null;
let hostName: string;
let tab: TabMotion;

beforeEach(() => {
  passed = [];
  refusal = null;
  hostName = 'amber-fox';
  const pass =
    (member: string) =>
    (...given: unknown[]): never => {
      passed.push(`${member} ${JSON.stringify(given)}`);
      return Promise.resolve({}) as never;
    };
  const inside: TabMotion = {
    ready: Promise.resolve(),
    room: 'lab',
    get host() {
      return { id: 'host-1', name: hostName };
    },
    hosts: () => [],
    vms: () => [] as TabMotionVm[],
    start: pass('start'),
    migrate: pass('migrate'),
    cancel: pass('cancel'),
    forwards: pass('forwards'),
    addForward: pass('addForward'),
    removeForward: pass('removeForward'),
    on: pass('on'),
    diagnostics: pass('diagnostics'),
    console: (vmId): VmConsole => ({ write: pass(`write ${vmId}`), text: () => 'printed', onData: pass('onData') }),
    capture: { state: pass('state'), start: pass('capture'), download: pass('download'), stop: pass('stop') },
  };
  tab = checkArguments(inside, {
    refusal: () => refusal,
    hasVm: (vmId) => vmId === VM || vmId === ENDED,
    runsVm: (vmId) => vmId === VM,
    isVmName: (name) => name === 'pc1',
  });
});

/** What scripts pass: anything. */
type Anything = Record<string, (...given: unknown[]) => unknown>;
const anything = (of: object): Anything => of as unknown as Anything;
/** The message, thrown or rejected with. */
async function sentence(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    // The message is our own sentence, not a browser's text for a mistake of ours.
    expect((error as Error).name).toBe('Error');
    return (error as Error).message;
  }
  return 'nothing was wrong with it';
}

const WRONG: readonly (readonly [member: string, given: readonly unknown[], says: string])[] = [
  ['on', ['nonsense', () => undefined], "There is no event 'nonsense'. Events are hosts, vms, migration, report, ping, traffic."],
  ['on', ['constructor', () => undefined], "There is no event 'constructor'. Events are hosts, vms, migration, report, ping, traffic."],
  ['on', [undefined, () => undefined], 'There is no event undefined. Events are hosts, vms, migration, report, ping, traffic.'],
  ['on', ['vms'], 'on takes a function to call, not undefined.'],
  ['on', ['vms', 'callback'], "on takes a function to call, not 'callback'."],

  ['console', ['unknown'], "There is no VM with the id 'unknown' in this room."],
  ['console', [''], "There is no VM with the id '' in this room."],
  ['console', ['pc1'], "'pc1' is a VM's name; console takes its id, as vms() tells it."],
  ['console', [], 'console takes the id of a VM, as vms() tells it, not undefined.'],
  ['console', [{ id: VM }], 'console takes the id of a VM, as vms() tells it, not an object.'],
  ['console', ['x'.repeat(100)], `There is no VM with the id '${'x'.repeat(40)}…' in this room.`],

  ['forwards', ['x'], "There is no VM with the id 'x' in this room."],
  ['forwards', [null], 'forwards takes the id of a VM, as vms() tells it, not null.'],
  ['cancel', ['x'], "There is no VM with the id 'x' in this room."],
  ['cancel', ['pc1'], "'pc1' is a VM's name; cancel takes its id, as vms() tells it."],
  ['cancel', [7], 'cancel takes the id of a VM, as vms() tells it, not 7.'],

  ['start', [{ memoryMiB: 'x' }], "memoryMiB is a number of MiB from 1 up, not 'x'."],
  ['start', [{ memoryMiB: Number.NaN }], 'memoryMiB is a number of MiB from 1 up, not NaN.'],
  ['start', [{ memoryMiB: -128 }], 'memoryMiB is a number of MiB from 1 up, not -128.'],
  ['start', [{ memoryMiB: Infinity }], 'memoryMiB is a number of MiB from 1 up, not Infinity.'],
  ['start', [{ memoryMiB: null }], 'memoryMiB is a number of MiB from 1 up, not null.'],
  ['start', [{ memory: 128 }], "start has no option 'memory'. Its options are name, memoryMiB."],
  ['start', [{ name: '' }], "name is a text of 1 to 64 characters, not ''."],
  ['start', [{ name: ' ' }], "name is a text of 1 to 64 characters, not ' '."],
  ['start', [{ name: 'n'.repeat(65) }], `name is a text of 1 to 64 characters, not '${'n'.repeat(40)}…'.`],
  ['start', [{ name: 7 }], 'name is a text of 1 to 64 characters, not 7.'],
  ['start', ['pc1'], "The options of start are an object, not 'pc1'."],
  ['start', [null], 'The options of start are an object, not null.'],
  ['start', [[]], 'The options of start are an object, not a list.'],

  ['migrate', [], 'migrate takes the id of a VM, as vms() tells it, not undefined.'],
  ['migrate', [VM], 'migrate takes the id of a host, as hosts() tells it, not undefined.'],
  ['migrate', [VM, { id: HOST }], 'migrate takes the id of a host, as hosts() tells it, not an object.'],
  ['migrate', ['x', 'y', { maxPause: 100 }], "migrate has no option 'maxPause'. Its options are maxPauseMs, bandwidthBytesPerSecond, verify, mode."],
  ['migrate', [VM, HOST, { maxPauseMs: 0 }], 'maxPauseMs is a number of milliseconds from 1 to 60000, not 0.'],
  ['migrate', [VM, HOST, { maxPauseMs: '100' }], "maxPauseMs is a number of milliseconds from 1 to 60000, not '100'."],
  ['migrate', [VM, HOST, { maxPauseMs: 60_001 }], 'maxPauseMs is a number of milliseconds from 1 to 60000, not 60001.'],
  ['migrate', [VM, HOST, { bandwidthBytesPerSecond: 1 }], 'bandwidthBytesPerSecond is a number of bytes from 1024 up, not 1.'],
  ['migrate', [VM, HOST, { verify: 'yes' }], "verify is true or false, not 'yes'."],
  ['migrate', [VM, HOST, { mode: 'post-copy' }], "mode is 'pre-copy', not 'post-copy'."],
  ['migrate', [VM, HOST, 100], 'The options of migrate are an object, not 100.'],

  ['addForward', ['x', 80], "There is no VM with the id 'x' in this room."],
  ['addForward', [VM], 'A guest port is a whole number from 1 to 65535, not undefined.'],
  ['addForward', [VM, 0], 'A guest port is a whole number from 1 to 65535, not 0.'],
  ['addForward', [VM, 65_536], 'A guest port is a whole number from 1 to 65535, not 65536.'],
  ['addForward', [VM, 80.5], 'A guest port is a whole number from 1 to 65535, not 80.5.'],
  ['addForward', [VM, '80'], "A guest port is a whole number from 1 to 65535, not '80'."],
  ['addForward', [VM, 80, -1], 'A host port is a whole number from 0 to 65535, not -1.'],
  ['addForward', [VM, 80, 'any'], "A host port is a whole number from 0 to 65535, not 'any'."],
  ['addForward', [VM, 80, null], 'A host port is a whole number from 0 to 65535, not null.'],
  ['removeForward', [], 'A host port is a whole number from 1 to 65535, not undefined.'],
  ['removeForward', [Symbol('80')], 'A host port is a whole number from 1 to 65535, not a symbol.'],
];

describe('window.tabmotion and what does not fit', () => {
  it.each(WRONG.map(([member, given, says]) => ({ member, given, says })))('$member: $says', async ({ member, given, says }) => {
    expect(await sentence(() => anything(tab)[member]!(...given))).toBe(says);
    expect(passed).toEqual([]);
  });

  it('a console takes text and functions, and no text for a VM that has ended', async () => {
    const running = anything(tab.console(VM));
    expect(await sentence(() => running['write']!(7))).toBe('write takes a text, not 7.');
    expect(await sentence(() => running['write']!())).toBe('write takes a text, not undefined.');
    expect(await sentence(() => running['onData']!('callback'))).toBe("onData takes a function to call, not 'callback'.");
    const over = tab.console(ENDED);
    expect(over.text()).toBe('printed');
    expect(await sentence(() => over.write('ls\n'))).toBe('This VM has ended; there is nobody to type for.');
    expect(passed).toEqual([]);
  });

  it('tells the name that this host has now, with the number that the relay put behind it', () => {
    expect(tab.host.name).toBe('amber-fox');
    hostName = 'amber-fox 2';
    expect(tab.host.name).toBe('amber-fox 2');
  });

  it('passes on what fits', async () => {
    await tab.start();
    await tab.start({ name: 'web', memoryMiB: 128 });
    // If the VM or the host does not exist, the report says so.
    await tab.migrate('vm-9', HOST, { maxPauseMs: 1, bandwidthBytesPerSecond: 1024, verify: true, mode: 'pre-copy' });
    await tab.cancel(VM);
    tab.console(VM).write('ls\n');
    await tab.addForward(VM, 80);
    await tab.removeForward(8080);
    expect(passed).toEqual([
      'start [{}]',
      'start [{"name":"web","memoryMiB":128}]',
      'migrate ["vm-9","host-2",{"maxPauseMs":1,"bandwidthBytesPerSecond":1024,"verify":true,"mode":"pre-copy"}]',
      'cancel ["vm-1"]',
      'write vm-1 ["ls\\n"]',
      'addForward ["vm-1",80,0]',
      'removeForward [8080]',
    ]);
  });

  it('says why the tab is in no room, whatever is asked of it', async () => {
    refusal = 'The key in this address is not complete.';
    const calls = [
      () => tab.start(),
      () => tab.migrate(VM, HOST),
      () => tab.cancel(VM),
      () => tab.addForward(VM, 80),
      () => tab.removeForward(8080),
      () => tab.capture.state(),
      () => tab.capture.start(),
      () => tab.capture.download(),
      () => tab.capture.stop(),
    ];
    for (const call of calls) expect(await sentence(call)).toBe(refusal);
    expect(passed).toEqual([]);
  });

  it('is checked in a tab as it is opened', async () => {
    const opened = openTab({
      platform: browserPlatform,
      address: new URL('http://localhost:8686/?room=no+room'),
      base: new URL('http://localhost:8686/'),
      storage: null,
      tabMemory: null,
      spawnVmWorker: () => {
        throw new Error('no worker is needed');
      },
      showAddress: () => undefined,
    });
    const why = await sentence(() => opened.ready);
    expect(why).toContain('A room name has up to 40 letters');
    for (const call of [() => opened.start(), () => opened.capture.state(), () => opened.migrate('x', 'y'), () => opened.cancel('x')])
      expect(await sentence(call)).toBe(why);
    expect(await sentence(() => opened.console('unknown'))).toBe("There is no VM with the id 'unknown' in this room.");
    expect(await sentence(() => anything(opened)['on']!('nonsense'))).toContain("There is no event 'nonsense'");
    opened.dispose();
  });
});
