/** The room's log as the page lists it, and the final figures of a migration. */
import type { LogLine } from '../host/scripting-interface.ts';
import type { MigrationReport } from '../migration/report.ts';
import { formatBytes, formatMs, plural } from './format.ts';
import { linkWord } from './words.ts';

export interface StoryEntry extends LogLine {
  /** Stays the same while the line is in the log. */
  readonly key: string;
}

/** More than anybody reads, yet few enough to keep the page light in a session of days. */
const MAX_ENTRIES = 200;

/** Newest first, at most MAX_ENTRIES. */
export function story(log: readonly LogLine[]): StoryEntry[] {
  const twins = new Map<string, number>();
  const entries = log.map((line): StoryEntry => {
    const name = `${line.at} ${line.text}`;
    const twin = twins.get(name) ?? 0;
    twins.set(name, twin + 1);
    return { ...line, key: `${name} ${twin}` };
  });
  return entries.slice(-MAX_ENTRIES).reverse();
}

/** The final figures beside the pause, which is shown large. */
export function figuresLine(report: MigrationReport): string {
  return [
    `${formatMs(report.totalMs)} in all`,
    `${formatBytes(report.bytesOnWire)} sent`,
    plural(report.rounds.length, 'round'),
    ...(report.link === null ? [] : [linkWord(report.link)]),
    ...(report.verified === null ? [] : [report.verified ? 'every page compared: equal' : 'every page compared: NOT EQUAL']),
  ].join(' · ');
}
