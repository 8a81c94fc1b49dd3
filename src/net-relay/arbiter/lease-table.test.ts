import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostId, LeaseEpoch, MigrationId, VmId } from '../../shared/ids.ts';
import { admitOwner, admitTarget, mayCommit, newLease, stepLease, type Lease, type LeaseEffect, type LeaseEvent, type LeaseState } from './lease-table.ts';

const A = 'A' as HostId;
const B = 'B' as HostId;
const M = 'm1' as MigrationId;
const epoch = (number: number): LeaseEpoch => number as LeaseEpoch;
const fresh = (): Lease => newLease('vm' as VmId, A);

/** Runs events; returns the lease and the effects of the last. */
function run(events: readonly LeaseEvent[], lease = fresh()): { lease: Lease; effects: readonly LeaseEffect[] } {
  let effects: readonly LeaseEffect[] = [];
  for (const event of events) ({ lease, effects } = stepLease(lease, event));
  return { lease, effects };
}

const hold: LeaseEvent = { type: 'hold', hostId: A, epoch: epoch(1), migrationId: M, targetHostId: B };
const drained: LeaseEvent = { type: 'drained', hostId: A, epoch: epoch(1), migrationId: M };
const release: LeaseEvent = { type: 'release', hostId: A, epoch: epoch(1), migrationId: M };
const abort: LeaseEvent = { type: 'abort', hostId: A, epoch: epoch(1), migrationId: M };
const commit: LeaseEvent = { type: 'commit', hostId: B, migrationId: M, fromHostId: A, fromEpoch: epoch(1) };
const alive: LeaseEvent = { type: 'alive', hostId: B, epoch: epoch(2) };
const silent: LeaseEvent = { type: 'confirm-expired', sourcePresent: true };
const types = (effects: readonly LeaseEffect[]): string[] => effects.map((effect) => effect.type);

describe('the lease of a VM', () => {
  it('moves by hold, drained, commit and the sign of life; the source is told last (NR10, NR12)', () => {
    const committed = run([hold, drained, commit]);
    expect(committed.lease).toMatchObject({ state: 'committed-unconfirmed', ownerHostId: B, epoch: 2, sourceHostId: A, sourceEpoch: 1 });
    expect(types(committed.effects)).toEqual(['tell-committed', 'move-port', 'await-sign-of-life']);
    const { lease, effects } = run([alive], committed.lease);
    expect(lease).toMatchObject({ state: 'owned', ownerHostId: B, epoch: 2 });
    expect(effects).toEqual([{ type: 'confirm' }, { type: 'tell-outcome', toHostId: A, migrationId: M, ownerHostId: B, epoch: 2, alive: true }]);
  });

  it('lets a commit that comes before drained wait, and does it as if it came then (NR11)', () => {
    const waits = run([hold, commit]);
    expect(waits).toMatchObject({ lease: { state: 'holding', ownerHostId: A, epoch: 1, commitWaits: true }, effects: [] });
    expect(run([commit, hold], waits.lease)).toMatchObject({ lease: waits.lease, effects: [{ type: 'repeat-held' }] });
    const { lease, effects } = run([drained], waits.lease);
    expect(effects).toEqual([
      { type: 'tell-drained', migrationId: M },
      { type: 'commit-waited', commit },
    ]);
    expect(run([commit], lease)).toEqual(run([hold, drained, commit]));
  });

  it('refuses a commit that waits with a release or an abort, and forgets it with its port or a restart (NR11, NR14)', () => {
    for (const end of [release, abort]) {
      const { lease, effects } = run([hold, commit, end]);
      expect(effects.at(-1)).toMatchObject({ type: 'refuse', request: 'commit', toHostId: B, migrationId: M });
      expect(lease).toMatchObject({ state: 'owned', ownerHostId: A, epoch: 1 });
      expect(types(run([hold, end]).effects)).not.toContain('refuse');
    }
    const left: LeaseEvent = { type: 'target-left', hostId: B, migrationId: M };
    expect(types(run([hold, commit, left, drained]).effects)).toEqual(['tell-drained']);
    expect(types(run([hold, commit, { ...left, hostId: 'C' as HostId }, drained]).effects)).toEqual(['tell-drained', 'commit-waited']);
    expect(types(run([hold, commit, { type: 'relay-restarted' }, hold, drained]).effects)).toEqual(['tell-drained']);
    expect(mayCommit(run([hold]).lease)).toBe(false);
    expect(mayCommit(run([hold, commit]).lease)).toBe(true);
  });

  it('refuses a commit in every other state (NR11)', () => {
    for (const before of [[], [hold, release], [hold, drained, release], [hold, drained, abort]]) {
      const { lease, effects } = run([...before, commit]);
      expect(lease.ownerHostId, before.map((event) => event.type).join()).toBe(A);
      expect(types(effects)).toEqual(['refuse']);
    }
  });

  it('refuses a commit by another host, for another migration, from another owner or epoch (NR11)', () => {
    const wrong: Partial<Extract<LeaseEvent, { type: 'commit' }>>[] = [
      { hostId: 'C' as HostId },
      { migrationId: 'm2' as MigrationId },
      { fromHostId: 'C' as HostId },
      { fromEpoch: epoch(2) },
    ];
    for (const change of wrong) {
      for (const before of [[hold], [hold, drained]]) {
        const { lease, effects } = run([...before, { ...commit, ...change }]);
        expect(lease).toEqual(run(before).lease);
        expect(types(effects)).toEqual(['refuse']);
      }
    }
  });

  it('gives the VM back at epoch + 2 if no sign of life came, and cannot commit that migration again (NR13)', () => {
    const { lease, effects } = run([hold, drained, commit, silent]);
    expect(lease).toMatchObject({ state: 'owned', ownerHostId: A, epoch: 3 });
    expect(types(effects)).toEqual(['tell-outcome', 'give-back']);
    expect(types(run([commit], lease).effects)).toEqual(['refuse']);
    expect(run([alive], lease).lease.ownerHostId).toBe(A);
  });

  it('leaves the VM with a silent target while the source is away, and gives it back as the source returns (NR13)', () => {
    const { lease } = run([hold, drained, commit, { type: 'confirm-expired', sourcePresent: false }]);
    expect(lease).toMatchObject({ state: 'committed-unconfirmed', ownerHostId: B, expired: true });
    expect(run([{ type: 'source-returned', hostId: A }], lease).lease).toMatchObject({ ownerHostId: A, epoch: 3 });
    expect(run([alive, { type: 'source-returned', hostId: A }], lease).lease).toMatchObject({ ownerHostId: B, epoch: 2 });
  });

  it('answers an abort after the commit with the target, and lets the switchover go on (NR14)', () => {
    const { lease, effects } = run([hold, drained, commit, abort]);
    expect(effects).toEqual([{ type: 'tell-outcome', toHostId: A, migrationId: M, ownerHostId: B, epoch: 2, alive: false }]);
    expect(lease.state).toBe('committed-unconfirmed');
  });

  it('ends a migration with its abort even if its hold never came (NR14)', () => {
    expect(types(run([abort, hold]).effects)).toEqual(['refuse']);
  });

  it('forgets a hold over a restart of the relay, and waits anew for a sign of life (NR16)', () => {
    expect(run([hold, drained, { type: 'relay-restarted' }]).lease.state).toBe('owned');
    expect(run([hold, drained, { type: 'relay-restarted' }, commit]).lease.ownerHostId).toBe(A);
    const { lease, effects } = run([hold, drained, commit, { type: 'relay-restarted' }]);
    expect(lease.state).toBe('committed-unconfirmed');
    expect(effects).toEqual([{ type: 'await-sign-of-life', afterRestart: true }]);
  });

  it('answers repeated requests of a lost connection as it did the first time (NR15)', () => {
    expect(types(run([hold, hold]).effects)).toEqual(['repeat-held']);
    expect(types(run([hold, drained, drained]).effects)).toEqual(['tell-drained']);
    expect(types(run([hold, release, release]).effects)).toEqual(['tell-released']);
    expect(types(run([hold, drained, commit, commit]).effects)).toEqual(['tell-committed']);
    expect(types(run([hold, drained, commit, alive, commit]).effects)).toEqual(['tell-committed']);
  });

  it('admits owner, former owner and target by what it knows of them (NR8, NR15)', () => {
    const { lease } = run([hold, drained, commit]);
    expect(admitOwner(lease, A, epoch(1))).toBe('former-owner');
    expect(admitOwner(lease, B, epoch(2))).toBe('owner');
    expect(admitOwner(lease, B, epoch(1))).toBe('stale-epoch');
    expect(admitOwner(lease, 'C' as HostId, epoch(2))).toBe('not-owner');
    expect(admitTarget(lease, B, epoch(1), M)).toBe('owner');
    expect(admitTarget(lease, 'C' as HostId, epoch(1), 'm2' as MigrationId)).toBe('stale-epoch');
    const back = run([silent], lease).lease;
    expect(admitOwner(back, A, epoch(1))).toBe('owner');
    expect(admitOwner(back, B, epoch(2))).toBe('stale-epoch');
    expect(admitTarget(back, B, epoch(1), M)).toBe('stale-epoch');
  });
});

const hosts = fc.constantFrom('A', 'B', 'C') as fc.Arbitrary<HostId>;
const migrations = fc.constantFrom('m1', 'm2', 'm3') as fc.Arbitrary<MigrationId>;
/** Offsets from the lease's epoch at the time: mostly right, sometimes stale or invented. */
const offsets = fc.constantFrom(0, 0, 0, 0, -1, -2, 1);
type Move = { readonly make: (lease: Lease) => LeaseEvent };
/** Mostly sent by a host that may; `by` null: the current owner. */
const moves: fc.Arbitrary<Move> = fc
  .record({
    kind: fc.constantFrom(
      'hold',
      'drained',
      'drained',
      'release',
      'abort',
      'commit',
      'commit',
      'target-left',
      'alive',
      'who-owns',
      'confirm-expired',
      'source-returned',
      'relay-restarted',
    ),
    by: fc.option(hosts, { nil: null, freq: 3 }),
    target: hosts,
    migrationId: migrations,
    offset: offsets,
    sourcePresent: fc.boolean(),
    follow: fc.boolean(),
  })
  .map(({ kind, by, target, migrationId: drawn, offset, sourcePresent, follow }) => ({
    make(lease) {
      const hostId = by ?? lease.ownerHostId;
      const at = Math.max(1, lease.epoch + offset) as LeaseEpoch;
      const migrationId = follow && lease.state !== 'owned' ? lease.migrationId : drawn;
      switch (kind) {
        case 'hold':
          return { type: 'hold', hostId, epoch: at, migrationId, targetHostId: target };
        case 'drained':
        case 'release':
        case 'abort':
          return { type: kind, hostId, epoch: at, migrationId };
        case 'commit':
          return { type: 'commit', hostId: follow && 'targetHostId' in lease ? lease.targetHostId : target, migrationId, fromHostId: hostId, fromEpoch: at };
        case 'target-left':
          return { type: 'target-left', hostId: target, migrationId };
        case 'alive':
          return { type: 'alive', hostId, epoch: at };
        case 'confirm-expired':
          return { type: 'confirm-expired', sourcePresent };
        case 'source-returned':
          return { type: 'source-returned', hostId };
        case 'relay-restarted':
          return { type: 'relay-restarted' };
        default:
          return { type: 'who-owns', hostId, migrationId };
      }
    },
  }));

describe('the lease of a VM, whatever happens in whatever order', () => {
  const seen = new Set<LeaseState>();

  it('has one owner, a rising epoch, and one commit per migration: after drained, never after its abort (I1)', () => {
    fc.assert(
      fc.property(fc.array(moves, { maxLength: 60 }), (steps) => {
        let lease = fresh();
        const committed = new Set<MigrationId>();
        const aborted = new Set<MigrationId>();
        for (const { make } of steps) {
          const event = make(lease);
          const before = lease;
          const { lease: after, effects } = stepLease(before, event);
          lease = after;
          seen.add(after.state);
          const moved = effects.filter((effect) => effect.type === 'move-port');
          const back = effects.filter((effect) => effect.type === 'give-back');
          // Only a commit or a give-back changes the owner; each of them raises the epoch by one.
          expect(after.epoch - before.epoch).toBe(moved.length + back.length);
          expect(after.ownerHostId !== before.ownerHostId).toBe(moved.length + back.length === 1);
          for (const move of moved) {
            expect(event.type).toBe('commit');
            expect(before.state).toBe('drained');
            expect(committed).not.toContain(move.migrationId);
            expect(aborted).not.toContain(move.migrationId);
            committed.add(move.migrationId);
          }
          for (const { epoch: at } of back) {
            expect(before).toMatchObject({ state: 'committed-unconfirmed', sourceHostId: after.ownerHostId });
            expect(at).toBe(after.epoch);
          }
          if (event.type === 'abort' && before.ownerHostId === event.hostId && before.epoch === event.epoch && before.state !== 'committed-unconfirmed') {
            if (before.state === 'owned' || before.migrationId === event.migrationId) aborted.add(event.migrationId);
          }
          // A stale or foreign port changes nothing.
          if ('epoch' in event && (event.epoch !== before.epoch || event.hostId !== before.ownerHostId)) expect(after).toBe(before);
          for (const effect of effects) {
            if (effect.type === 'tell-outcome') expect(effect).toMatchObject({ ownerHostId: after.ownerHostId, epoch: after.epoch });
          }
          expect(after.ended.length).toBeLessThanOrEqual(16);
        }
      }),
      { numRuns: 1500 },
    );
    expect([...seen].sort()).toEqual(['committed-unconfirmed', 'drained', 'holding', 'owned']);
  });

  it('answers every request exactly once, a commit that waits as the hold ends (I5)', () => {
    const answers: readonly LeaseEffect['type'][] = ['begin-hold', 'repeat-held', 'tell-drained', 'tell-released', 'tell-committed', 'refuse'];
    fc.assert(
      fc.property(fc.array(moves, { maxLength: 40 }), (steps) => {
        let lease = fresh();
        for (const { make } of steps) {
          const event = make(lease);
          const before = lease;
          const { lease: after, effects } = stepLease(before, event);
          lease = after;
          const waits = (of: Lease): boolean => of.state === 'holding' && of.commitWaits;
          const answered = effects.filter((effect) => effect.type === 'commit-waited' || (effect.type === 'refuse' && effect.request === 'commit'));
          if (event.type === 'commit' && waits(after)) {
            expect(effects.length).toBeLessThanOrEqual(1);
          } else if (event.type !== 'commit') {
            const forgotten = event.type === 'target-left' || event.type === 'relay-restarted';
            expect(answered).toHaveLength(waits(before) && !waits(after) && !forgotten ? 1 : 0);
          }
          if (event.type === 'commit' && waits(after)) continue;
          if (event.type === 'hold' || event.type === 'drained' || event.type === 'release' || event.type === 'commit') {
            expect(
              effects.filter((effect) => answers.includes(effect.type) && !(effect.type === 'refuse' && effect.request !== event.type)),
              event.type,
            ).toHaveLength(1);
          } else if (event.type === 'abort' || event.type === 'who-owns') {
            expect(effects.filter((effect) => effect.type === 'tell-outcome' && effect.toHostId === event.hostId)).toHaveLength(1);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
