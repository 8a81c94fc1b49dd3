import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import type { MigrationReport } from '../migration/report.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import { hostMessageSchema, MAX_PAST_REPORTS } from './host-messages.ts';
import { MAX_PAST_BYTES, MigrationHistory, type PastReport } from './migration-history.ts';
import type { EndedMigration } from './scripting-interface.ts';

const [A, B, C] = ['a', 'b', 'c'] as [HostId, HostId, HostId];

function report(id: string, change: Partial<MigrationReport> = {}): PastReport['report'] {
  return {
    id: id as MigrationId,
    vmId: 'vm-1' as VmId,
    from: A,
    to: B,
    outcome: 'completed',
    pauseMs: 31,
    downtime: null,
    totalMs: 240,
    bytesOnWire: 2_200_000,
    memoryBytes: 134_217_728,
    link: 'webrtc',
    verified: null,
    ...change,
    rounds: [...(change.rounds ?? [{ pages: 100, bytes: 143_200, ms: 40, dirtied: 9 }])],
  };
}

function ended(id: string, at: number, change: Partial<EndedMigration> = {}): EndedMigration {
  return { at, known: 'news', vmName: 'pc-1', toName: 'brave-otter', report: report(id), ...change };
}

const told = (id: string, agoMs: number): PastReport => ({ agoMs, vmName: 'pc-1', toName: 'brave-otter', report: report(id) });
const ids = (reports: readonly { readonly report: MigrationReport }[]): string[] => reports.map((one) => one.report.id);

describe('the history of migrations', () => {
  it('takes what each host remembers once, in the order of time', () => {
    const history = new MigrationHistory();
    history.ask([A, B], 10_000);
    expect(ids(history.recall(A, [told('m1', 5_000), told('m3', 1_000)], 10_010))).toEqual(['m1', 'm3']);
    expect(ids(history.recall(B, [told('m1', 5_003), told('m2', 2_000), told('m2', 1)], 10_020))).toEqual(['m2']);
    expect(ids(history.list())).toEqual(['m1', 'm2', 'm3']);
    expect(history.list()[0]).toMatchObject({ at: 5_010, known: 'past' });
  });

  it('takes one answer from each host it asked, and none from another or one that has left', () => {
    const history = new MigrationHistory();
    expect(history.recall(A, [told('m1', 1)], 0)).toEqual([]);
    history.ask([A, B], 0);
    history.forgetHost(B);
    expect(history.recall(B, [told('m2', 1)], 0)).toEqual([]);
    expect(history.recall(C, [told('m3', 1)], 0)).toEqual([]);
    expect(history.recall(A, [told('m4', 1)], 0)).toHaveLength(1);
    expect(history.recall(A, [told('m5', 1)], 0)).toEqual([]);
    expect(ids(history.list())).toEqual(['m4']);
  });

  it('places the past before the news, however late it is told', () => {
    const history = new MigrationHistory();
    history.ask([A], 10_000);
    history.add(ended('news', 10_500));
    history.recall(A, [told('before', 0), told('news', 0)], 11_000);
    expect(ids(history.list())).toEqual(['before', 'news']);
    expect(history.list().map(({ at, known }) => ({ at, known }))).toEqual([
      { at: 10_000, known: 'past' },
      { at: 10_500, known: 'news' },
    ]);
  });

  it('puts what was missed for a while where it belongs among the news', () => {
    const history = new MigrationHistory();
    history.add(ended('m1', 1_000));
    history.ask([A], 9_000);
    history.add(ended('m3', 9_500));
    expect(ids(history.recall(A, [told('m1', 8_600), told('m2', 4_000), told('m3', 100)], 9_600))).toEqual(['m2']);
    expect(ids(history.list())).toEqual(['m1', 'm2', 'm3']);
  });

  it('believes the news of a migration over what it was told of its past', () => {
    const history = new MigrationHistory();
    history.ask([A], 10_000);
    history.recall(A, [told('m1', 0)], 10_000);
    expect(history.heardEndOf('m1' as MigrationId)).toBe(false);
    history.add(ended('m1', 10_100));
    expect(history.heardEndOf('m1' as MigrationId)).toBe(true);
    expect(history.list()).toEqual([ended('m1', 10_100)]);
  });

  it('keeps the newest only, and names as new only what it kept', () => {
    const history = new MigrationHistory();
    history.ask([A], 0);
    for (let n = 1; n < MAX_PAST_REPORTS; n++) history.add(ended(`news-${n}`, n));
    expect(ids(history.recall(A, [told('old', 2_000), told('newer', 1_000)], 0))).toEqual(['newer']);
    expect(history.list()).toHaveLength(MAX_PAST_REPORTS);
  });

  it('tells a newcomer all but what only this page was told, as a message that fits', () => {
    const history = new MigrationHistory();
    history.ask([A], 0);
    history.recall(A, [told('m1', 9_000)], 0);
    history.add(ended('refused', 1_000, { known: 'refusal' }));
    history.add(ended('m2', 2_000));
    history.add(ended('clock-set-back', 900_000));
    history.add(ended('clock-set-far', -1e15));
    const reports = history.past(10_000);
    expect(ids(reports)).toEqual(['m1', 'm2', 'clock-set-back', 'clock-set-far']);
    expect(reports.slice(0, 3).map((one) => one.agoMs)).toEqual([19_000, 8_000, 0]);
    expect(v.safeParse(hostMessageSchema, JSON.parse(JSON.stringify({ type: 'past-reports', reports }))).success).toBe(true);
  });

  it('tells as many as fit the bound in bytes, the newest first of all', () => {
    const history = new MigrationHistory();
    const rounds = Array.from({ length: 100 }, () => ({ pages: 1_550, bytes: 2_219_600, ms: 1085.123456789, dirtied: 212 }));
    for (let n = 1; n <= MAX_PAST_REPORTS; n++) {
      history.add(ended(`m${n}`, n, { report: report(`m${n}`, { rounds, outcome: 'failed', reason: '“…”'.repeat(100) }) }));
    }
    history.add(ended('too-long', 100, { report: report('too-long', { rounds: Array.from({ length: 1_000 }, () => rounds[0]!) }) }));
    const reports = history.past(1_000);
    expect(new TextEncoder().encode(JSON.stringify(reports)).length).toBeLessThanOrEqual(MAX_PAST_BYTES + 2);
    expect(reports.length).toBeGreaterThan(2);
    expect(ids(reports)).toEqual(Array.from(reports, (_, index) => `m${MAX_PAST_REPORTS - reports.length + 1 + index}`));
  });
});

describe('a message of past reports', () => {
  const fits = (reports: unknown): boolean => v.safeParse(hostMessageSchema, { type: 'past-reports', reports }).success;

  it('is refused when it is too long, or names, times and figures are none', () => {
    expect(fits([told('m1', 1)])).toBe(true);
    expect(fits(Array.from({ length: MAX_PAST_REPORTS + 1 }, (_, n) => told(`m${n}`, n)))).toBe(false);
    expect(fits([{ ...told('m1', 1), vmName: 'x'.repeat(65) }])).toBe(false);
    expect(fits([{ ...told('m1', 1), toName: '' }])).toBe(false);
    for (const agoMs of [-1, 1e15, Infinity, NaN, '1']) expect(fits([{ ...told('m1', 1), agoMs }]), String(agoMs)).toBe(false);
    expect(fits([{ ...told('m1', 1), report: { ...report('m1'), pauseMs: -1 } }])).toBe(false);
  });
});
