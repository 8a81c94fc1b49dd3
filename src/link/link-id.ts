import type { MigrationId } from '../shared/ids.ts';

/** Both hosts name a link alike, and no two links share a name. */
export function linkIdOf(migrationId: MigrationId, attempt: number): string {
  return attempt === 0 ? migrationId : `${migrationId}-${attempt}`;
}
