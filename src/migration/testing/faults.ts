/** What can go wrong in a rehearsal, by name. */
import type { VmOperation } from './model-vm.ts';
import type { Rehearsal } from './rehearsal.ts';

export interface Fault {
  readonly name: string;
  readonly strike: (rehearsal: Rehearsal) => void;
}

/** Frozen hosts and the stopped relay come back after this time; longer than every time limit but the link's. */
const AWAY_MS = [50, 1500, 7000, 40_000] as const;

function away(rehearsal: Rehearsal, who: 'source' | 'target' | 'relay'): void {
  const host = rehearsal[who];
  host.freeze();
  const ms = rehearsal.world.random.pick(AWAY_MS);
  rehearsal.world.clock.setTimeout(() => host.thaw(), ms);
}

function tamper(rehearsal: Rehearsal, change: (message: Uint8Array) => readonly Uint8Array[]): void {
  const lanes = rehearsal.currentLink().lanes.filter((lane) => lane.waiting > 0);
  if (lanes.length > 0) rehearsal.world.random.pick(lanes).tamper(change);
}

const BROKEN: readonly { readonly side: 'source' | 'target'; readonly operation: VmOperation; readonly how: 'fails' | 'hangs' }[] = [
  { side: 'source', operation: 'openEpoch', how: 'fails' },
  { side: 'source', operation: 'takeDirty', how: 'fails' },
  { side: 'source', operation: 'pause', how: 'fails' },
  { side: 'source', operation: 'drainDisk', how: 'fails' },
  { side: 'source', operation: 'saveDevices', how: 'fails' },
  { side: 'target', operation: 'restoreDevices', how: 'fails' },
  { side: 'target', operation: 'restoreDevices', how: 'hangs' },
  { side: 'target', operation: 'run', how: 'fails' },
  { side: 'target', operation: 'alive', how: 'fails' },
  { side: 'target', operation: 'alive', how: 'hangs' },
];

export const FAULTS: readonly Fault[] = [
  { name: 'link cut', strike: (rehearsal) => rehearsal.cutLink() },
  { name: 'link falls silent', strike: (rehearsal) => rehearsal.currentLink().mute() },
  { name: 'target killed', strike: (rehearsal) => rehearsal.kill('target', true) },
  { name: 'target killed unnoticed', strike: (rehearsal) => rehearsal.kill('target', false) },
  { name: 'source killed', strike: (rehearsal) => rehearsal.kill('source', true) },
  { name: 'target frozen', strike: (rehearsal) => away(rehearsal, 'target') },
  { name: 'source frozen', strike: (rehearsal) => away(rehearsal, 'source') },
  { name: 'relay away', strike: (rehearsal) => away(rehearsal, 'relay') },
  { name: 'cancelled at the source', strike: (rehearsal) => void rehearsal.sender.cancel() },
  { name: 'cancelled at the target', strike: (rehearsal) => rehearsal.receiver.cancel() },
  { name: 'guest powered off', strike: (rehearsal) => rehearsal.sender.vmEnded() },
  { name: 'commit lost before the relay', strike: (rehearsal) => void (rehearsal.arbiter.loseCommit = 'before') },
  { name: 'commit lost after the relay', strike: (rehearsal) => void (rehearsal.arbiter.loseCommit = 'after') },
  { name: 'message repeated', strike: (rehearsal) => tamper(rehearsal, (message) => [message, message]) },
  { name: 'message lost', strike: (rehearsal) => tamper(rehearsal, () => []) },
  {
    name: 'message damaged',
    strike: (rehearsal) => tamper(rehearsal, (message) => {
      const damaged = message.slice();
      const at = rehearsal.world.random.below(damaged.length);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << rehearsal.world.random.below(8));
      return [damaged];
    }),
  },
  { name: 'message cut short', strike: (rehearsal) => tamper(rehearsal, (message) => [message.slice(0, rehearsal.world.random.below(message.length))]) },
  ...BROKEN.map(({ side, operation, how }): Fault => ({
    name: `${side}'s ${operation} ${how}`,
    strike: (rehearsal) => rehearsal.breakVm(side, operation, how === 'hangs' ? 'hangs' : new Error(`${operation} does not work today`)),
  })),
];
