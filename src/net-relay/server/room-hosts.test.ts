import { describe, expect, it } from 'vitest';
import type { HostId } from '../../shared/ids.ts';
import { RoomHosts, type HostVoice } from './room-hosts.ts';

class Room {
  readonly hosts = new RoomHosts<string>();
  private readonly voices = new Map<string, HostVoice<string>>();

  join(id: string, name: string): string | null {
    const hostId = id as HostId;
    const voice: HostVoice<string> = { send: () => undefined, sendEncoded: () => undefined, end: () => undefined };
    this.voices.set(id, voice);
    expect(this.hosts.admit(hostId, `token of ${id}`)).toBe('ok');
    expect(this.hosts.join(hostId, name, voice)).toBe(true);
    return this.hosts.nameOf(hostId);
  }

  leave(id: string): void {
    const voice = this.voices.get(id);
    if (voice !== undefined) this.hosts.leave(id as HostId, voice, true);
  }

  names(): string[] {
    return this.hosts.list().map(({ name }) => name);
  }
}

describe("the names of a room's hosts", () => {
  it('are unique, in the order in which the hosts come (NR7)', () => {
    const room = new Room();
    expect(
      ['a', 'b', 'c', 'd', 'e'].map((id) => room.join(id, ['Jade Owl', 'Jade Owl', 'jade owl', 'Ada', 'Jade Owl 2'][id.charCodeAt(0) - 97] ?? '')),
    ).toEqual(['Jade Owl', 'Jade Owl 2', 'jade owl 3', 'Ada', 'Jade Owl 2 2']);
    expect(room.hosts.list().map(({ name }) => name)).toEqual(room.names());
  });

  it('are unique in a class of which everybody has the same name', () => {
    const room = new Room();
    for (let host = 0; host < 100; host++) room.join(`host-${host}`, 'x'.repeat(64));
    const names = room.names();
    expect(new Set(names).size).toBe(100);
    expect(Math.max(...names.map((name) => name.length))).toBe(64);
  });

  it('stay with a host that comes back, as long as they are free', () => {
    const room = new Room();
    room.join('a', 'Ada');
    expect(room.join('b', 'Ada')).toBe('Ada 2');
    room.leave('a');
    expect(room.join('b', 'Ada')).toBe('Ada 2');
    expect(room.join('a', 'Ada')).toBe('Ada');
    room.leave('b');
    expect(room.join('c', 'Ada')).toBe('Ada 2');
    expect(room.join('b', 'Ada')).toBe('Ada 3');
  });

  it('change with what the host calls itself', () => {
    const room = new Room();
    room.join('a', 'Ada');
    room.join('b', 'Ada');
    expect(room.join('b', 'Bob')).toBe('Bob');
  });
});
