import type { MigrationId } from '../shared/ids.ts';

/** Both hosts use the same name for a link, and no two links share a name. */
export function linkIdOf(migrationId: MigrationId, attempt: number): string {
  return attempt === 0 ? migrationId : `${migrationId}-${attempt}`;
}
