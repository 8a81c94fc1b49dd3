/** The room's story in order of time: plain lines, and migrations with their final figures. */
import type { LogLine } from '../host/scripting-interface.ts';
import type { MigrationReport } from '../migration/report.ts';
import { formatBytes, formatMs, plural } from './format.ts';
import { linkWord } from './words.ts';

export type StoryEntry =
  | { readonly kind: 'line'; readonly key: string; readonly at: number; readonly level: LogLine['level']; readonly text: string }
  | { readonly kind: 'report'; readonly key: string; readonly at: number; readonly level: LogLine['level']; readonly report: MigrationReport };

/** More than anybody reads; the page stays light in a session of days. */
const MAX_ENTRIES = 200;

/** Newest first, at most MAX_ENTRIES. Keys are stable while an entry stays in the list it came from. */
export function story(
  log: readonly LogLine[],
  reports: readonly MigrationReport[],
  seenAt: (report: MigrationReport) => number,
): StoryEntry[] {
  const twins = new Map<string, number>();
  const lines = log.map((line): StoryEntry => {
    const name = `${line.at} ${line.text}`;
    const twin = twins.get(name) ?? 0;
    twins.set(name, twin + 1);
    return { kind: 'line', key: `line ${name} ${twin}`, at: line.at, level: line.level, text: line.text };
  });
  const moves = reports.map((report): StoryEntry => ({
    kind: 'report', key: `report ${report.id}`, at: seenAt(report), level: reportLevel(report), report,
  }));
  return [...lines, ...moves].sort((a, b) => b.at - a.at).slice(0, MAX_ENTRIES);
}

export function reportLevel(report: MigrationReport): LogLine['level'] {
  if (report.outcome === 'failed' || report.verified === false) return 'bad';
  return report.outcome === 'completed' ? 'good' : 'info';
}

/** The final figures in one line, in the order in which they matter. */
export function figuresLine(report: MigrationReport): string {
  return [`${formatMs(report.pauseMs)} pause`, ...figuresAfterPause(report)].join(' · ');
}

/** The same without the pause, for a place that shows it large. */
export function figuresAfterPause(report: MigrationReport): string[] {
  return [
    `${formatMs(report.totalMs)} in all`,
    `${formatBytes(report.bytesOnWire)} sent`,
    plural(report.rounds.length, 'round'),
    linkWord(report.link),
    ...(report.verified === null ? [] : [report.verified ? 'every page compared: equal' : 'every page compared: NOT EQUAL']),
  ];
}

/** What happened, without the figures. */
export function reportSentence(report: MigrationReport, vmName: string, nameOf: (hostId: string) => string): string {
  const way = `${nameOf(report.from)} → ${nameOf(report.to)}`;
  switch (report.outcome) {
    case 'completed':
      return `${vmName} moved: ${way}`;
    case 'cancelled':
      return `${vmName}, move cancelled: ${way}`;
    case 'failed':
      return `${vmName} could not move: ${way}. ${report.reason ?? 'No reason was given.'}`;
  }
}
