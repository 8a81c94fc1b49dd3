/** A migration's outcome in one sentence, for the log, and whether it is good news. */
import type { MigrationReport } from '../migration/report.ts';
import type { EndedMigration, LogLine } from './scripting-interface.ts';

function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(0)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export function reportLevel(report: MigrationReport): LogLine['level'] {
  if (report.outcome === 'failed' || report.verified === false) return 'bad';
  return report.outcome === 'completed' ? 'good' : 'info';
}

export function reportLine({ at, report, vmName, toName }: EndedMigration): LogLine {
  return { at, level: reportLevel(report), vmId: report.vmId, text: reportText(report, vmName, toName) };
}

function reportText(report: MigrationReport, vmName: string, targetName: string): string {
  switch (report.outcome) {
    case 'completed': {
      const verified = report.verified === null ? '' : report.verified ? ' Every page was compared: all equal.' : ' Every page was compared: NOT all equal.';
      const way = report.link === null ? '' : ` over ${linkText(report.link)}`;
      return `${vmName} moved to ${targetName}: paused for ${report.pauseMs.toFixed(0)} ms, ${report.totalMs.toFixed(0)} ms in all, ${bytesText(report.bytesOnWire)} sent in ${report.rounds.length} rounds${way}.${verified}`;
    }
    case 'cancelled':
      return `The move of ${vmName} to ${targetName} was cancelled. It runs on where it was.`;
    case 'failed':
      return `${vmName} could not move to ${targetName}: ${report.reason ?? 'no reason is known'}`;
  }
}

function linkText(link: NonNullable<MigrationReport['link']>): string {
  switch (link) {
    case 'webrtc':
      return 'WebRTC';
    case 'relay':
      return 'the relay';
    case 'local':
      return 'a direct channel between tabs';
  }
}
