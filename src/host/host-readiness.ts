/** Which hosts have loaded the guest: only there can a VM start, or arrive without waiting. Each host reports for itself. */
import type { HostId } from '../shared/ids.ts';
import type { HostMessage } from './host-messages.ts';

export interface HostReadinessOptions {
  readonly self: HostId;
  readonly sendToHost: (to: HostId, message: HostMessage) => void;
  readonly sendToRoom: (message: HostMessage) => void;
  readonly changed: () => void;
}

export class HostReadiness {
  private readonly options: HostReadinessOptions;
  private readonly ready = new Set<string>();

  constructor(options: HostReadinessOptions) {
    this.options = options;
  }

  isReady(hostId: string): boolean {
    return this.ready.has(hostId);
  }

  /** This tab has loaded the guest. */
  loaded(): void {
    this.ready.add(this.options.self);
    this.tellRoom();
    this.options.changed();
  }

  /** Repeated after an outage of the server, because the room may have missed it. */
  tellRoom(): void {
    if (this.isReady(this.options.self)) this.options.sendToRoom({ type: 'host-ready' });
  }

  /** Another host wants to know. */
  tell(to: HostId): void {
    if (this.isReady(this.options.self)) this.options.sendToHost(to, { type: 'host-ready' });
  }

  heard(from: HostId): void {
    this.ready.add(from);
    this.options.changed();
  }

  forgetHost(hostId: HostId): void {
    this.ready.delete(hostId);
  }
}
