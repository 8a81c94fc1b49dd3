/** Random identifiers. `crypto.randomUUID` does not exist over plain http; `getRandomValues` does. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const EASY_ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';

function randomText(length: number, alphabet: string): string {
  let text = '';
  while (text.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length * 2))) {
      // Bytes past the last whole multiple would make the first letters likelier.
      if (byte < 256 - (256 % alphabet.length) && text.length < length) text += alphabet.charAt(byte % alphabet.length);
    }
  }
  return text;
}

/** 190 bits: room keys and host tokens. */
export const randomToken = (): string => randomText(32, ALPHABET);

/** 95 bits: ids of hosts, migrations and requests. Letters and digits only, as PeerJS wants its ids. */
export const randomId = (): string => randomText(16, ALPHABET);

/** A password a person can type: no letters that look alike. */
export const randomPassword = (): string => randomText(10, EASY_ALPHABET);
