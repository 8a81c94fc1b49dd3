import { describe, expect, it } from 'vitest';
import type { MigrationReport } from '../migration/report.ts';
import type { HostId, MigrationId, VmId } from '../shared/ids.ts';
import { reportLevel, reportLine } from './report-text.ts';

function report(change: Partial<MigrationReport> = {}): MigrationReport {
  return {
    id: 'm1' as MigrationId,
    vmId: 'vm-1' as VmId,
    from: 'a' as HostId,
    to: 'b' as HostId,
    outcome: 'completed',
    rounds: [{ pages: 100, bytes: 143_200, ms: 40, dirtied: 9 }],
    pauseMs: 31,
    downtime: null,
    totalMs: 240,
    bytesOnWire: 2_200_000,
    memoryBytes: 134_217_728,
    link: 'webrtc',
    verified: null,
    ...change,
  };
}

describe('a report in the log', () => {
  it('is a sentence with the names of then and at the time of then', () => {
    expect(reportLine({ at: 1_000, known: 'past', vmName: 'pc-1', toName: 'brave-otter', report: report() })).toEqual({
      at: 1_000,
      level: 'good',
      vmId: 'vm-1',
      text: 'pc-1 moved to brave-otter: paused for 31 ms, 240 ms in all, 2.2 MB sent in 1 rounds over WebRTC.',
    });
  });

  it('is bad news when the move failed or the copies differ', () => {
    expect(reportLevel(report())).toBe('good');
    expect(reportLevel(report({ verified: false }))).toBe('bad');
    expect(reportLevel(report({ outcome: 'failed' }))).toBe('bad');
    expect(reportLevel(report({ outcome: 'cancelled' }))).toBe('info');
  });
});
