/** Waits for the report of a migration, but only as long as it takes to recognise a hang. */
import { expect } from '@playwright/test';
import type { MigrationReport } from '../../src/migration/report.ts';

/**
 * A hang shows within this time. The limit measures nothing: silence counts twelve heartbeats, a link in place of a dead
 * one has ten seconds, and on an overloaded machine both take several times as long.
 */
export const NEWS_LIMIT_MS = 90_000;

/** The report, if it comes within the limit. */
export async function reported(migration: Promise<MigrationReport | null>, limitMs = NEWS_LIMIT_MS): Promise<MigrationReport> {
  const limit = new Promise<null>((resolve) => setTimeout(() => resolve(null), limitMs));
  const report = await Promise.race([migration, limit]);
  expect(report, 'a report within the limit').not.toBeNull();
  return report as MigrationReport;
}
