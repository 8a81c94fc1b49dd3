/** What the arbiter promises to both sides (SourceLease and TargetLease of ports.ts), as tests that each arbiter runs. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LeaseOutcome, SourceLease, TargetLease } from '../ports.ts';

export interface LeaseUnderTest {
  /** The lease of a running VM. */
  readonly source: SourceLease;
  /** The prospective port of the same migration. */
  readonly target: TargetLease;
  /** Resolves with what `promise` does, while messages between hosts and relay arrive. */
  settled<T>(promise: Promise<T>): Promise<T>;
  /** Resolves when `reached` is true; rejects if that never happens. */
  until(reached: () => boolean): Promise<void>;
  /** Lets the time pass in which a target may stay silent after its commit. */
  letTheTargetStaySilent(): Promise<void>;
  dispose(): void | Promise<void>;
}

/** Declares the suite. `make` gives a fresh VM and migration for every test. */
export function describeLeaseContract(name: string, make: () => LeaseUnderTest | Promise<LeaseUnderTest>): void {
  describe(`${name} keeps the promises of the arbiter`, () => {
    let lease: LeaseUnderTest;
    let outcomes: LeaseOutcome[];
    beforeEach(async () => {
      lease = await make();
      outcomes = [];
      lease.source.onOutcome((outcome) => outcomes.push(outcome));
    });
    afterEach(() => lease.dispose());

    it('moves the lease once hold, drained and commit came in this order; the epoch is one higher (MG21)', async () => {
      await lease.settled(lease.source.hold());
      await lease.settled(lease.source.drained());
      expect(await lease.settled(lease.target.commit())).toBe(lease.source.epoch + 1);
    });

    it('answers a probe at any time before the commit, which changes nothing (MG36, NR27)', async () => {
      expect(await lease.settled(lease.target.probe())).toBeGreaterThanOrEqual(0);
      await lease.settled(lease.source.hold());
      await lease.settled(lease.target.probe());
      await lease.settled(lease.source.drained());
      await lease.settled(lease.target.probe());
      expect(outcomes).toEqual([]);
      expect(await lease.settled(lease.target.commit())).toBe(lease.source.epoch + 1);
    });

    it('refuses a commit before the hold (MG21)', async () => {
      await expect(lease.settled(lease.target.commit())).rejects.toMatchObject({ cause: 'commit-refused' });
    });

    it('lets a commit that comes before drained wait for it (MG19, MG21)', async () => {
      await lease.settled(lease.source.hold());
      let committed = false;
      const commit = lease.target.commit().finally(() => (committed = true));
      await lease.settled(lease.target.probe());
      expect(committed).toBe(false);
      await lease.settled(lease.source.drained());
      expect(await lease.settled(commit)).toBe(lease.source.epoch + 1);
    });

    it('refuses a commit that waits once the hold is released or aborted (MG26)', async () => {
      for (const end of [() => lease.source.release(), () => lease.source.abort()]) {
        await lease.settled(lease.source.hold());
        const commit = lease.target.commit();
        // Awaited below, when it may already have been refused.
        commit.catch(() => undefined);
        await lease.settled(lease.target.probe());
        await lease.settled<unknown>(Promise.resolve(end()));
        await expect(lease.settled(commit)).rejects.toMatchObject({ cause: 'commit-refused' });
      }
    });

    it('refuses a commit after a release, and can hold again', async () => {
      await lease.settled(lease.source.hold());
      await lease.settled(lease.source.release());
      await expect(lease.settled(lease.target.commit())).rejects.toMatchObject({ cause: 'commit-refused' });
      await lease.settled(lease.source.hold());
    });

    it('leaves the VM with the source if the abort comes first; the commit is refused then (MG26)', async () => {
      await lease.settled(lease.source.hold());
      await lease.settled(lease.source.drained());
      expect(await lease.settled(lease.source.abort())).toEqual({ owner: 'source', epoch: lease.source.epoch });
      await expect(lease.settled(lease.target.commit())).rejects.toMatchObject({ cause: 'commit-refused' });
    });

    it('answers an abort that comes after the commit with the target (MG26)', async () => {
      await lease.settled(lease.source.hold());
      await lease.settled(lease.source.drained());
      await lease.settled(lease.target.commit());
      expect(await lease.settled(lease.source.abort())).toEqual({ owner: 'target', epoch: lease.source.epoch + 1 });
    });

    it('gives exactly one of a commit and an abort that cross what it asked for (I1)', async () => {
      await lease.settled(lease.source.hold());
      await lease.settled(lease.source.drained());
      const commit = lease.target.commit().then(
        () => 'target',
        () => 'source',
      );
      const abort = lease.source.abort().then(({ owner }) => owner);
      expect(await lease.settled(commit)).toBe(await lease.settled(abort));
    });

    it('tells the source when the target lives (MG22)', async () => {
      await lease.settled(lease.source.hold());
      await lease.settled(lease.source.drained());
      await lease.settled(lease.target.commit());
      expect(outcomes).toEqual([]);
      await lease.settled(Promise.resolve(lease.target.alive()));
      await lease.until(() => outcomes.length > 0);
      expect(outcomes).toEqual([{ owner: 'target', epoch: lease.source.epoch + 1 }]);
    });

    it('gives the VM back to the source if the target stays silent, with an epoch two higher, and tells both (MG28)', async () => {
      let revoked = 0;
      lease.target.onRevoked(() => revoked++);
      await lease.settled(lease.source.hold());
      await lease.settled(lease.source.drained());
      await lease.settled(lease.target.commit());
      await lease.letTheTargetStaySilent();
      await lease.until(() => outcomes.length > 0 && revoked > 0);
      expect(outcomes).toEqual([{ owner: 'source', epoch: lease.source.epoch + 2 }]);
      expect(revoked).toBe(1);
    });

    it('tells nothing more to listeners that were disposed', async () => {
      const late: LeaseOutcome[] = [];
      lease.source.onOutcome((outcome) => late.push(outcome)).dispose();
      await lease.settled(lease.source.hold());
      await lease.settled(lease.source.drained());
      await lease.settled(lease.target.commit());
      await lease.settled(Promise.resolve(lease.target.alive()));
      await lease.until(() => outcomes.length > 0);
      expect(late).toEqual([]);
    });
  });
}
