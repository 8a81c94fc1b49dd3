import { describe, expect, it } from 'vitest';
import { GuestReader } from './testing/guest-reader.ts';
import { typeCharacter, usKey } from './us-layout.ts';

const PRINTABLE = Array.from({ length: 0x7f - 0x20 }, (_, at) => String.fromCharCode(0x20 + at));

function read(character: string): string {
  const guest = new GuestReader();
  guest.hear(typeCharacter(character) ?? []);
  expect(guest.held()).toEqual([]);
  return guest.text;
}

describe("the guest's American keyboard", () => {
  it('has a key for every printable ASCII character, and the guest reads it back', () => {
    expect(PRINTABLE.filter((character) => usKey(character) === null)).toEqual([]);
    expect(PRINTABLE.map(read).join('')).toBe(PRINTABLE.join(''));
  });

  it.each(['ß', 'é', 'ü', 'ż', '€', 'я', '漢', '😀', '\u00a0'])('types %s by its number', (character) => {
    expect(usKey(character)).toBeNull();
    expect(read(character)).toBe(character);
  });

  it.each([
    ['\n', '\n'],
    ['\r', '\n'],
    ['\t', '\t'],
    ['\b', '\b'],
  ])('has a key for %j', (character, key) => {
    expect(read(character)).toBe(key);
  });

  it.each(['\u0000', '\u001b', '\u0085', '\ud800'])('cannot type %j', (character) => {
    expect(typeCharacter(character)).toBeNull();
  });
});
