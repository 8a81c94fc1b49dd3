/** The report of a migration, waited for no longer than a hang takes to be seen. */
import { expect } from '@playwright/test';
import type { MigrationReport } from '../../src/migration/report.ts';

/**
 * A hang is seen within this. It is no measure: silence counts twelve heartbeats, a link in place of a dead one has ten
 * seconds, and a machine with far too much to do makes several times that of both.
 */
export const NEWS_LIMIT_MS = 90_000;

/** The report, if it comes within the limit. */
export async function reported(migration: Promise<MigrationReport | null>, limitMs = NEWS_LIMIT_MS): Promise<MigrationReport> {
  const limit = new Promise<null>((resolve) => setTimeout(() => resolve(null), limitMs));
  const report = await Promise.race([migration, limit]);
  expect(report, 'a report within the limit').not.toBeNull();
  return report as MigrationReport;
}
