/** What can go wrong in a staged migration, by name. */
import type { Arbiter } from './arbiter.ts';
import type { VmOperation } from './model-vm.ts';
import type { Rehearsal } from './rehearsal.ts';
import type { Staging } from './staging.ts';
import type { Host } from './world.ts';

export interface Fault<S = Rehearsal> {
  readonly name: string;
  readonly strike: (rehearsal: S) => void;
}
type AnyStaging = Staging<Arbiter>;

/** Frozen hosts and the stopped relay come back after one of these times. */
const AWAY_MS = [50, 1500, 7000, 40_000] as const;

function away(rehearsal: AnyStaging, host: Host): void {
  host.freeze();
  const ms = rehearsal.world.random.pick(AWAY_MS);
  rehearsal.world.clock.setTimeout(() => host.thaw(), ms);
}

function tamper(rehearsal: AnyStaging, change: (message: Uint8Array) => readonly Uint8Array[]): void {
  const lanes = rehearsal.currentLink().lanes.filter((lane) => lane.waiting > 0);
  if (lanes.length > 0) rehearsal.world.random.pick(lanes).tamper(change);
}

const BROKEN: readonly { readonly side: 'source' | 'target'; readonly operation: VmOperation; readonly how: 'fails' | 'hangs' }[] = [
  { side: 'source', operation: 'startDirtyLog', how: 'fails' },
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

/** Faults of the link's messages and of the VM, for any arbiter. */
export const INNER_FAULTS: readonly Fault<AnyStaging>[] = [
  { name: 'guest powered off', strike: (rehearsal) => rehearsal.sender.vmEnded() },
  { name: 'message repeated', strike: (rehearsal) => tamper(rehearsal, (message) => [message, message]) },
  { name: 'message lost', strike: (rehearsal) => tamper(rehearsal, () => []) },
  {
    name: 'message damaged',
    strike: (rehearsal) =>
      tamper(rehearsal, (message) => {
        const damaged = message.slice();
        const at = rehearsal.world.random.below(damaged.length);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << rehearsal.world.random.below(8));
        return [damaged];
      }),
  },
  { name: 'message cut short', strike: (rehearsal) => tamper(rehearsal, (message) => [message.slice(0, rehearsal.world.random.below(message.length))]) },
  ...BROKEN.map(({ side, operation, how }): Fault<AnyStaging> => ({
    name: `${side}'s ${operation} ${how}`,
    strike: (rehearsal) => rehearsal.breakVm(side, operation, how === 'hangs' ? 'hangs' : new Error(`${operation} does not work today`)),
  })),
];

export const FAULTS: readonly Fault[] = [
  { name: 'link cut', strike: (rehearsal) => rehearsal.cutLink() },
  { name: 'link falls silent', strike: (rehearsal) => rehearsal.currentLink().mute() },
  { name: 'target killed', strike: (rehearsal) => rehearsal.kill('target', true) },
  { name: 'target killed unnoticed', strike: (rehearsal) => rehearsal.kill('target', false) },
  { name: 'source killed', strike: (rehearsal) => rehearsal.kill('source', true) },
  { name: 'target frozen', strike: (rehearsal) => away(rehearsal, rehearsal.target) },
  { name: 'source frozen', strike: (rehearsal) => away(rehearsal, rehearsal.source) },
  { name: 'relay away', strike: (rehearsal) => away(rehearsal, rehearsal.relay) },
  { name: 'cancelled at the source', strike: (rehearsal) => void rehearsal.sender.cancel() },
  { name: 'cancelled at the target', strike: (rehearsal) => rehearsal.receiver.cancel() },
  { name: 'commit lost before the relay', strike: (rehearsal) => void (rehearsal.arbiter.loseCommit = 'before') },
  { name: 'commit lost after the relay', strike: (rehearsal) => void (rehearsal.arbiter.loseCommit = 'after') },
  ...INNER_FAULTS,
];
