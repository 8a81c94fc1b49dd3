/**
 * What a room remembers of VMs that have ended, until somebody in the room dismisses it: a tab that comes later, or was
 * reloaded, learns that there was one and why it ended. Kept in memory and bounded; a restart of the relay forgets it.
 */
import type { EndedVm } from '../protocol/relay-protocol.ts';
import { MAX_ENDED_VMS } from '../limits/server-limits.ts';

type Entry = Omit<EndedVm, 'agoMs'> & { readonly at: number };

export class EndedVms {
  private entries: readonly Entry[] = [];

  get isEmpty(): boolean {
    return this.entries.length === 0;
  }

  /** `now` is the relay's monotonic clock, here and in `list`. */
  add(vm: Omit<EndedVm, 'agoMs'>, now: number): void {
    this.entries = [...this.entries.filter(({ id }) => id !== vm.id), { ...vm, at: now }].slice(-MAX_ENDED_VMS);
  }

  /** True if one of them was remembered. */
  dismiss(ids: readonly string[]): boolean {
    const before = this.entries.length;
    this.entries = this.entries.filter(({ id }) => !ids.includes(id));
    return this.entries.length < before;
  }

  /** Oldest first. */
  list(now: number): EndedVm[] {
    return this.entries.map(({ at, ...vm }) => ({ ...vm, agoMs: Math.max(0, Math.round(now - at)) }));
  }
}
