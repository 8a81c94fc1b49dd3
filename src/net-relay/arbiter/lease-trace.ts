import type { Lease, LeaseEffect, LeaseEvent } from './lease-table.ts';

/** Describes a step of a lease for a trace; null if the step changed nothing: repeated requests are frequent. */
export function describeLeaseStep(event: LeaseEvent, before: Lease, after: Lease, effects: readonly LeaseEffect[]): string | null {
  const refusal = effects.find((effect) => effect.type === 'refuse');
  const changed = before.state !== after.state || before.epoch !== after.epoch || before.ownerHostId !== after.ownerHostId;
  const waits = event.type === 'commit' && after.state === 'holding' && refusal === undefined;
  if (!changed && !waits && refusal === undefined) return null;
  const who = 'hostId' in event ? ` of ${event.hostId}` : '';
  const which = 'migrationId' in event ? ` (${event.migrationId})` : '';
  if (waits) return `${event.type}${who}${which}: waits for drained`;
  const outcome = refusal === undefined ? `${before.state} -> ${after.state}, owner ${after.ownerHostId}, epoch ${after.epoch}` : `refused: ${refusal.reason}`;
  return `${event.type}${who}${which}: ${outcome}`;
}
