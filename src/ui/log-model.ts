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

/** The figures of a report, as label and value, in the order in which they matter. */
export function figures(report: MigrationReport): readonly (readonly [label: string, value: string])[] {
  const verified = report.verified === null ? [] : [['Every page compared', report.verified ? 'equal' : 'NOT EQUAL'] as const];
  return [
    ['Paused', formatMs(report.pauseMs)],
    ['Total', formatMs(report.totalMs)],
    ['Sent', formatBytes(report.bytesOnWire)],
    ['In', plural(report.rounds.length, 'round')],
    ['Way', linkWord(report.link)],
    ...verified,
  ];
}

/** What happened, without the figures. */
export function reportSentence(report: MigrationReport, vmName: string, nameOf: (hostId: string) => string): string {
  const way = `from ${nameOf(report.from)} to ${nameOf(report.to)}`;
  switch (report.outcome) {
    case 'completed':
      return `${vmName} moved ${way}`;
    case 'cancelled':
      return `${vmName}: the move ${way} was cancelled`;
    case 'failed':
      return `${vmName} could not move ${way}: ${report.reason ?? 'no reason was given'}`;
  }
}
