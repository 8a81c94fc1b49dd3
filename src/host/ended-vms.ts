/**
 * The room's ended VMs as this tab shows them: each once in the log, and in the view until somebody dismisses it. After a
 * reload, a tab recognises its own VMs by the host id it had before.
 */
import type { EndedVm } from '../net-relay/protocol/relay-protocol.ts';
import type { HostId, VmId } from '../shared/ids.ts';
import { assertNever } from '../shared/assert-never.ts';
import type { RoomLog } from './room-log.ts';
import type { EndedVmView, LogLine } from './scripting-interface.ts';

export interface EndedVmsOptions {
  readonly self: HostId;
  /** The id of the tab's page before a reload, or null. */
  readonly formerSelf: HostId | null;
  readonly log: RoomLog;
  /** A VM that ended while this page showed it: its chip says so, and how. */
  readonly isShownHere: (vmId: VmId) => boolean;
  /** Date.now(). */
  readonly now: () => number;
}

export class EndedVms {
  private readonly options: EndedVmsOptions;
  /** The room's latest list, oldest first. */
  private entries: readonly EndedVmView[] = [];
  private formerSelf: HostId | null;
  private hidden: readonly string[] = [];
  private isFirst = true;

  constructor(options: EndedVmsOptions) {
    this.options = options;
    this.formerSelf = options.formerSelf;
  }

  /** The room's list, and who is in the room. */
  take(list: readonly EndedVm[], hosts: readonly HostId[]): void {
    const { self, log, now } = this.options;
    // A copied tab has the memory of the original as well, and the original is still in the room.
    if (this.isFirst && this.formerSelf !== null && hosts.includes(this.formerSelf)) this.formerSelf = null;
    const known = new Map(this.entries.map((entry) => [entry.id, entry]));
    const news: LogLine[] = [];
    this.entries = list.map((vm) => {
      const view = known.get(vm.id);
      if (view !== undefined) return view;
      const wasHere = vm.hostId === self || vm.hostId === this.formerSelf;
      const entry = { id: vm.id, name: vm.name, at: now() - vm.agoMs, text: endedText(vm, wasHere), wasHere };
      // VMs that end in this page are in its log already.
      if (vm.hostId !== self) news.push({ at: entry.at, level: vm.how === 'failed' || vm.how === 'expired' ? 'bad' : 'info', vmId: vm.id, text: entry.text });
      return entry;
    });
    if (this.isFirst && news.length > 0) log.addPast(news);
    else for (const { level, vmId, text } of news) log.add(level, vmId as VmId, text);
    this.isFirst = false;
  }

  /** Oldest first. */
  views(): readonly EndedVmView[] {
    return this.entries.filter(({ id }) => !this.hidden.includes(id) && !this.options.isShownHere(id as VmId));
  }

  /** VMs of this tab from before its reload. */
  ownIds(): string[] {
    return this.views()
      .filter(({ wasHere }) => wasHere)
      .map(({ id }) => id);
  }

  /** Stops showing these VMs at once, before the room confirms that it has forgotten them. */
  hide(vmIds: readonly string[]): void {
    this.hidden = [...this.hidden.filter((id) => this.entries.some((entry) => entry.id === id)), ...vmIds];
  }
}

/** What became of a VM, in one sentence. */
export function endedText({ name, hostName, how, why }: EndedVm, wasHere: boolean): string {
  const itsTab = hostName === null ? 'its tab' : `its tab, ${hostName},`;
  const where = wasHere ? ' in this tab' : hostName === null ? '' : ` in ${hostName}`;
  switch (how) {
    case 'tab-closed':
      return wasHere ? `${name} ended when this tab was reloaded or left.` : `${name} ended when ${itsTab} was closed or reloaded.`;
    case 'powered-off':
      return `${name} was powered off${where}.`;
    case 'failed':
      return why === null ? `${name} broke down${where}.` : `${name} ended${where}: ${why}`;
    case 'host-removed':
      return wasHere ? `${name} ended: this tab was removed from the room.` : `${name} ended: ${itsTab} was removed from the room.`;
    case 'forgotten':
      return wasHere ? `${name} was forgotten by the room while this tab was away.` : `${name} was forgotten: ${itsTab} was away.`;
    case 'expired':
      return wasHere ? `${name} was given up while this tab was away.` : `${name} was given up: ${itsTab} did not come back.`;
    default:
      return assertNever(how);
  }
}
