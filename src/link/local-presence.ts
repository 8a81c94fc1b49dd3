/** Finds which hosts of the room are tabs of this same browser: those can be reached without any network. */
import type { HostId } from '../shared/ids.ts';
import type { Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';

type Greeting = { readonly type: 'here' | 'here-too' | 'gone'; readonly hostId: string };

export class LocalPresence implements Disposable {
  readonly changed = new Emitter<HostId>();
  private readonly hosts = new Set<HostId>();
  private readonly channel: BroadcastChannel;
  private readonly self: HostId;

  constructor(room: string, self: HostId) {
    this.self = self;
    this.channel = new BroadcastChannel(`tabmotion-room-${room}`);
    this.channel.onmessage = (event: MessageEvent<Greeting>) => {
      const { type, hostId } = event.data;
      const id = hostId as HostId;
      if (type === 'gone') this.hosts.delete(id);
      else this.hosts.add(id);
      if (type === 'here') this.post('here-too');
      this.changed.emit(id);
    };
    this.post('here');
  }

  has(hostId: HostId): boolean {
    return this.hosts.has(hostId);
  }

  dispose(): void {
    this.post('gone');
    this.changed.dispose();
    this.channel.onmessage = null;
    this.channel.close();
  }

  private post(type: Greeting['type']): void {
    const greeting: Greeting = { type, hostId: this.self };
    this.channel.postMessage(greeting);
  }
}
