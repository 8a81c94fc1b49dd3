/**
 * Which hosts are in the room, while hosts find each other again after a server outage. The first list of a restarted
 * server names only the hosts that are back. The others count as gone only after they have had time to return.
 */
import type { HostInfo } from '../net-relay/protocol/relay-protocol.ts';
import type { Clock } from '../shared/clock.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import type { HostId } from '../shared/ids.ts';

/** Twice the longest a tab waits between two tries to reach the server. */
export const GATHER_MS = 6000;
/** How long somebody waits for a host while the server is away. */
export const WAIT_LIMIT_MS = 8000;

export class Gathering implements Disposable {
  readonly left = new Emitter<HostInfo>();
  private hosts: readonly HostInfo[];
  private readonly missing = new Map<string, HostInfo>();
  private readonly clock: Clock;
  private ending: Disposable | null = null;
  private isCutOff = false;
  private isOver = false;
  private readonly waiting = new Set<{ readonly hostId: HostId; readonly settle: (present: boolean) => void }>();

  constructor(hosts: readonly HostInfo[], clock: Clock) {
    this.hosts = hosts;
    this.clock = clock;
  }

  get present(): readonly HostInfo[] {
    return this.hosts;
  }

  /** Those that are not back yet. */
  get expected(): readonly HostInfo[] {
    return [...this.missing.values()];
  }

  isPresent(hostId: string): boolean {
    return this.hosts.some((host) => host.id === hostId);
  }

  cutOff(): void {
    this.isCutOff = true;
  }

  /** The server answers, again or for the first time. */
  begin(): void {
    this.isCutOff = false;
    this.ending?.dispose();
    this.ending = this.clock.setTimeout(() => this.end(), GATHER_MS);
    this.tell();
  }

  take(hosts: readonly HostInfo[]): void {
    const gone = this.hosts.filter(({ id }) => !hosts.some((host) => host.id === id));
    this.hosts = hosts;
    for (const { id } of hosts) this.missing.delete(id);
    for (const host of gone) {
      if (this.ending === null) this.left.emit(host);
      else this.missing.set(host.id, host);
    }
    this.tell();
  }

  /** The server has refused this tab for good: nobody can be reached any more. */
  refused(): void {
    this.isOver = true;
    this.ending?.dispose();
    this.ending = null;
    for (const { settle } of [...this.waiting]) settle(false);
  }

  /** Resolves with true once the host is there and the server answers; with false when that can no longer be expected. */
  whenPresent(hostId: HostId): Promise<boolean> {
    if (this.isOver) return Promise.resolve(false);
    if (this.isReachable(hostId)) return Promise.resolve(true);
    if (!this.isCutOff && this.ending === null) return Promise.resolve(false);
    return new Promise((resolve) => {
      const one = {
        hostId,
        settle: (present: boolean) => {
          limit.dispose();
          this.waiting.delete(one);
          resolve(present);
        },
      };
      const limit = this.clock.setTimeout(() => one.settle(false), WAIT_LIMIT_MS);
      this.waiting.add(one);
    });
  }

  dispose(): void {
    this.refused();
    this.left.dispose();
  }

  private isReachable(hostId: string): boolean {
    return !this.isCutOff && this.isPresent(hostId);
  }

  private tell(): void {
    for (const { hostId, settle } of [...this.waiting]) if (this.isReachable(hostId)) settle(true);
  }

  private end(): void {
    this.ending = null;
    const gone = this.expected;
    this.missing.clear();
    for (const host of gone) this.left.emit(host);
    if (!this.isCutOff) for (const { settle } of [...this.waiting]) settle(false);
  }
}
