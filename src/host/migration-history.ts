/**
 * The migrations that ended in the room: those whose end this tab heard as it happened and, before them, those that other
 * hosts remembered when this tab joined or returned. Knows nothing about messages or VMs.
 */
import type { MigrationReport } from '../migration/report.ts';
import type { HostId } from '../shared/ids.ts';
import { LONGEST_AGO_MS, MAX_PAST_REPORTS, type HostMessageOf } from './host-messages.ts';
import type { EndedMigration } from './scripting-interface.ts';

/**
 * Most bytes of JSON that one host sends to a newcomer. In a full room (128 hosts), all answers together stay below the
 * 8 MiB that the relay lets a host fall behind.
 */
export const MAX_PAST_BYTES = 32 * 1024;

export type PastReport = HostMessageOf<'past-reports'>['reports'][number];

export class MigrationHistory {
  private entries: readonly EndedMigration[] = [];
  /** Hosts that were asked and have not answered. */
  private readonly asked = new Set<HostId>();
  private askedAt = 0;

  /** Oldest first; at most MAX_PAST_REPORTS. */
  list(): readonly EndedMigration[] {
    return this.entries;
  }

  /** Whether this tab heard the migration's end as it happened. What other hosts remember does not count. */
  heardEndOf(id: MigrationReport['id']): boolean {
    return this.entries.some((entry) => entry.known !== 'past' && entry.report.id === id);
  }

  add(entry: EndedMigration): void {
    this.keep([...this.entries.filter(({ known, report }) => known !== 'past' || report.id !== entry.report.id), entry]);
  }

  /** These hosts are about to be asked; each may answer once. */
  ask(hosts: readonly HostId[], now: number): void {
    for (const host of hosts) this.asked.add(host);
    this.askedAt = now;
  }

  forgetHost(hostId: HostId): void {
    this.asked.delete(hostId);
  }

  /** A host answers with past migrations. Returns those that are new here; none if the host was not asked. */
  recall(from: HostId, reports: readonly PastReport[], now: number): readonly EndedMigration[] {
    if (!this.asked.delete(from)) return [];
    const known = new Set(this.entries.map((entry) => entry.report.id));
    const added: EndedMigration[] = [];
    for (const { agoMs, vmName, toName, report } of reports) {
      if (known.has(report.id)) continue;
      known.add(report.id);
      // This tab itself hears of whatever ended after it asked.
      added.push({ at: Math.min(this.askedAt, now - agoMs), known: 'past', vmName, toName, report });
    }
    // For the same moment, what this tab heard itself comes after what others remembered.
    const past = [...this.entries.filter((entry) => entry.known === 'past'), ...added];
    this.keep([...past, ...this.entries.filter((entry) => entry.known !== 'past')].sort((a, b) => a.at - b.at));
    return added.filter((entry) => this.entries.includes(entry));
  }

  /** For a newcomer: the newest migrations that fit into MAX_PAST_BYTES, oldest first. Leaves out what was told only to this page. */
  past(now: number): PastReport[] {
    const told: PastReport[] = [];
    let bytes = 0;
    for (const { at, known, vmName, toName, report } of [...this.entries].reverse()) {
      if (known === 'refusal') continue;
      const past = { agoMs: Math.min(LONGEST_AGO_MS, Math.max(0, now - at)), vmName, toName, report: { ...report, rounds: [...report.rounds] } };
      const size = new TextEncoder().encode(JSON.stringify(past)).length + 1;
      if (bytes + size > MAX_PAST_BYTES) continue;
      bytes += size;
      told.push(past);
    }
    return told.reverse();
  }

  private keep(entries: readonly EndedMigration[]): void {
    this.entries = entries.slice(-MAX_PAST_REPORTS);
  }
}
