import { describe, expect, it } from 'vitest';
import { RoomAddress } from './room-address.ts';
import { readRoomAccess } from './room-key.ts';

const KEY = 'abcdefghijklmnopqrstuvwx';
const SECRET = 's'.repeat(22);

function page(href: string, kept = new Map<string, string>()) {
  const address = new URL(href);
  const storage = { getItem: (name: string) => kept.get(name) ?? null, setItem: (name: string, value: string) => void kept.set(name, value) };
  const shown: string[] = [];
  return { kept, shown, room: new RoomAddress({ access: readRoomAccess(address, storage), address, storage, show: (link) => void shown.push(link) }) };
}

describe("a room's address", () => {
  it('shows the key that was made here, and leaves an invitation in the address bar as it is', () => {
    const made = page('http://example.test/?room=mine');
    made.room.accepted(false);
    expect(made.shown).toEqual([`http://example.test/?room=mine#${made.room.key}`]);
    const invited = page(`http://example.test/?room=mine&autostart=0#${KEY}`);
    invited.room.accepted(false);
    expect([invited.shown, invited.kept.get('tabmotion-key-mine')]).toEqual([[], KEY]);
  });

  it("takes the owner's secret out of the address bar and keeps it only if it was the owner's", () => {
    const owner = page(`http://example.test/#${KEY}&owner=${SECRET}`);
    owner.room.accepted(true);
    expect(owner.shown).toEqual([`http://example.test/#${KEY}`]);
    expect(owner.room.owners).toBe(`http://example.test/#${KEY}&owner=${SECRET}`);
    expect(page('http://example.test/', owner.kept).room.ownerSecret).toBe(SECRET);
    const other = page(`http://example.test/#${KEY}&owner=${SECRET}`);
    other.room.accepted(false);
    expect(page('http://example.test/', other.kept).room.ownerSecret).not.toBe(SECRET);
  });

  it('follows a key that was changed, in the address bar, in what is remembered and in the invitation, once', () => {
    const { room, shown, kept } = page(`http://example.test/?room=mine#${KEY}`);
    const next = 'n'.repeat(22);
    expect([room.changed(next), room.changed(next)]).toEqual([true, false]);
    expect([room.key, room.here, room.invitation, shown, kept.get('tabmotion-key-mine')]).toEqual([
      next,
      `http://example.test/?room=mine#${next}`,
      room.here,
      [room.here],
      next,
    ]);
  });

  it('for others is the one that the server knows, where this page is on its own computer', async () => {
    const { room } = page(`http://localhost:8686/?room=mine#${KEY}`);
    expect([
      room.othersCanJoin,
      await room.learnOutside({ addresses: () => Promise.reject(new Error('away')) }),
      await room.learnOutside({ addresses: () => Promise.resolve([]) }),
    ]).toEqual([false, false, false]);
    expect(await room.learnOutside({ addresses: () => Promise.resolve(['http://192.0.2.1:8686', 'http://192.0.2.2:8686']) })).toBe(true);
    expect([room.othersCanJoin, room.invitation, room.here]).toEqual([
      true,
      `http://192.0.2.1:8686/?room=mine#${KEY}`,
      `http://localhost:8686/?room=mine#${KEY}`,
    ]);
    const outside = page(`http://192.0.2.1/#${KEY}`).room;
    expect([outside.othersCanJoin, await outside.learnOutside({ addresses: () => Promise.resolve(['http://192.0.2.9']) }), outside.invitation]).toEqual([
      true,
      false,
      `http://192.0.2.1/#${KEY}`,
    ]);
  });

  it('is as it was opened, where nobody was let in', () => {
    const { room, shown } = page('http://example.test/#broken');
    room.accepted(true);
    expect([room.changed(KEY), room.key, room.here, shown]).toEqual([false, '', 'http://example.test/#broken', []]);
  });
});
