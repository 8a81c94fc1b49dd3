import { describe, expect, it } from 'vitest';
import { invitation, ownersAddress, ownerSecretFor, readRoomAccess, rememberKey, rememberOwner } from './room-key.ts';

const KEY = 'abcdefghijklmnopqrstuvwx';

function storage(): { getItem(name: string): string | null; setItem(name: string, value: string): void } {
  const items = new Map<string, string>();
  return { getItem: (name) => items.get(name) ?? null, setItem: (name, value) => void items.set(name, value) };
}

describe('room key', () => {
  it('takes room and key from an invitation, and an invitation leads back to them', () => {
    for (const room of ['default', 'class-4b']) {
      const link = invitation(new URL('http://example.test:8686/?x=1#old'), room, KEY);
      expect(readRoomAccess(new URL(link), null)).toEqual({ ok: true, room, key: KEY, made: false });
    }
  });

  it('remembers an accepted key for the plain address', () => {
    const kept = storage();
    rememberKey('default', KEY, kept);
    expect(readRoomAccess(new URL('http://example.test/'), kept)).toMatchObject({ ok: true, key: KEY, made: false });
  });

  it('makes a key for a room of its own, but never for the default room', () => {
    expect(readRoomAccess(new URL('http://example.test/?room=mine'), storage())).toMatchObject({ ok: true, made: true });
    expect(readRoomAccess(new URL('http://example.test/'), storage())).toMatchObject({ ok: false, reason: expect.stringContaining('invited') as string });
  });

  it('takes the code for new rooms from the address, keeps it for other rooms, and leaves it out of invitations', () => {
    const kept = storage();
    const first = readRoomAccess(new URL('http://example.test/?room=mine#open=lecture-2027'), kept);
    expect(first).toMatchObject({ ok: true, made: true, openCode: 'lecture-2027' });
    rememberKey('mine', KEY, kept, 'lecture-2027');
    expect(readRoomAccess(new URL('http://example.test/?room=other'), kept)).toMatchObject({ ok: true, made: true, openCode: 'lecture-2027' });
    expect(readRoomAccess(new URL(`http://example.test/?room=mine#${KEY}&open=lecture-2027`), null)).toEqual({
      ok: true,
      room: 'mine',
      key: KEY,
      made: false,
      openCode: 'lecture-2027',
    });
    expect(invitation(new URL('http://example.test/?room=mine#open=lecture-2027'), 'mine', KEY)).toBe(`http://example.test/?room=mine#${KEY}`);
    expect(readRoomAccess(new URL('http://example.test/?room=mine#open=x'), null)).toMatchObject({
      ok: false,
      reason: expect.stringContaining('not complete') as string,
    });
  });

  it("takes the owner's secret from the address, keeps it, and leaves it out of invitations", () => {
    const kept = storage();
    const secret = 's'.repeat(22);
    const link = ownersAddress(invitation(new URL('http://example.test/'), 'mine', KEY), secret);
    expect(readRoomAccess(new URL(link), null)).toEqual({ ok: true, room: 'mine', key: KEY, made: false, ownerSecret: secret });
    expect(readRoomAccess(new URL(`http://example.test/?room=mine#owner=${secret}&open=lecture-2027`), null)).toMatchObject({
      made: true,
      ownerSecret: secret,
      openCode: 'lecture-2027',
    });
    expect(invitation(new URL(link), 'mine', KEY)).not.toContain(secret);
    const made = ownerSecretFor('mine', kept);
    expect(made).not.toBe(ownerSecretFor('mine', kept));
    rememberOwner('mine', secret, kept);
    expect([ownerSecretFor('mine', kept), ownerSecretFor('other', kept) === secret]).toEqual([secret, false]);
    for (const broken of [`${KEY}&owner=x`, `${KEY}&owner=`, `${KEY}&other=${secret}`, `${KEY}&${secret}`]) {
      expect(readRoomAccess(new URL(`http://example.test/?room=mine#${broken}`), null)).toMatchObject({
        ok: false,
        reason: expect.stringContaining('not complete') as string,
      });
    }
  });

  it('refuses a broken room name and a cut-off key with the way out', () => {
    expect(readRoomAccess(new URL('http://example.test/?room=a/b'), null)).toMatchObject({ ok: false });
    expect(readRoomAccess(new URL('http://example.test/#abc'), null)).toMatchObject({ ok: false, reason: expect.stringContaining('Copy the whole') as string });
  });
});
