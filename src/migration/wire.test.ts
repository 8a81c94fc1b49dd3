import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MigrationId } from '../shared/ids.ts';
import { FUZZ_LIMIT_MS, FUZZ_RUNS } from '../shared/testing/full.ts';
import { MigrationError } from './migration-error.ts';
import { SeededRandom } from './testing/seeded-random.ts';
import {
  HEADER_BYTES,
  hashMigrationId,
  MAX_MESSAGE_BYTES,
  MAX_PAYLOAD_BYTES,
  MessageType,
  nextSequence,
  parseMessage,
  serializeMessage,
  type Envelope,
} from './wire.ts';

const ENVELOPE: Envelope = {
  version: 1,
  type: MessageType.pages,
  acknowledge: true,
  migration: '0123456789abcdef',
  sequence: 7,
  payload: Uint8Array.of(1, 2, 3),
};

/** A good message with one byte changed. */
function withByte(at: number, value: number): Uint8Array {
  const message = serializeMessage(ENVELOPE);
  message[at] = value;
  return message;
}

describe('The envelope of a message', () => {
  it('is read as it was written (MG1)', () => {
    fc.assert(
      fc.property(
        fc.record({
          version: fc.nat(255),
          type: fc.constantFrom(...Object.values(MessageType)),
          acknowledge: fc.boolean(),
          migration: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => value.toString(16).padStart(16, '0')),
          sequence: fc.nat(0xffffffff),
          payload: fc.uint8Array({ maxLength: 300 }),
        }),
        (envelope) => {
          expect(parseMessage(serializeMessage(envelope))).toEqual(envelope);
        },
      ),
    );
  });

  it('carries the largest payload in the largest message, and no larger one (MG2)', () => {
    const message = serializeMessage({ ...ENVELOPE, payload: new Uint8Array(MAX_PAYLOAD_BYTES) });
    expect(message.length).toBe(MAX_MESSAGE_BYTES);
    expect(parseMessage(message).payload.length).toBe(MAX_PAYLOAD_BYTES);
    expect(() => serializeMessage({ ...ENVELOPE, payload: new Uint8Array(MAX_PAYLOAD_BYTES + 1) })).toThrow(RangeError);
  });

  const rejections: [string, Uint8Array, string][] = [
    ['a message that is too large', new Uint8Array(MAX_MESSAGE_BYTES + 1), 'message-too-large'],
    ['no bytes at all', new Uint8Array(0), 'bad-message'],
    ['a header that is cut off', serializeMessage(ENVELOPE).slice(0, HEADER_BYTES - 1), 'bad-message'],
    ['a wrong magic', withByte(0, 0x55), 'bad-message'],
    ['an unknown type', withByte(5, 9), 'bad-message'],
    ['type 0', withByte(5, 0), 'bad-message'],
    ['unknown flags', withByte(6, 2), 'bad-message'],
    ['a reserved byte that is not zero', withByte(7, 1), 'bad-message'],
    ['a length that is too large', withByte(23, 4), 'bad-message'],
    ['a length that is too small', withByte(23, 2), 'bad-message'],
    ['a huge length', withByte(20, 0xff), 'bad-message'],
    ['a truncated payload', serializeMessage(ENVELOPE).slice(0, -1), 'bad-message'],
  ];
  for (const [what, message, cause] of rejections) {
    it(`is refused with ${what} (MG1, MG2)`, () => {
      expect(() => parseMessage(message)).toThrow(expect.objectContaining({ name: 'MigrationError', cause }) as Error);
    });
  }

  it(
    'made of anything is either read, without a copy, or refused by name (MG1, MG2, C7)',
    () => {
      const random = new SeededRandom(24);
      let read = 0;
      for (let count = 0; count < FUZZ_RUNS; count++) {
        let message: Uint8Array = random.chance(0.8)
          ? serializeMessage({ ...ENVELOPE, type: random.pick(Object.values(MessageType)), payload: random.bytes(random.below(40)) })
          : random.bytes(random.below(80));
        for (let damage = random.below(4); damage > 0 && message.length > 0; damage--) message[random.below(message.length)] = random.below(256);
        // A length of up to four gigabytes.
        if (random.chance(0.2) && message.length >= HEADER_BYTES) message.set(random.bytes(4), HEADER_BYTES - 4);
        if (random.chance(0.2)) message = message.subarray(0, random.below(message.length + 1));
        if (random.chance(0.001)) message = new Uint8Array(MAX_MESSAGE_BYTES + random.below(3));
        try {
          const { payload } = parseMessage(message);
          if (payload.buffer !== message.buffer || payload.length !== message.length - HEADER_BYTES) expect.fail('It is not a view of what came.');
          read++;
        } catch (error) {
          if (!(error instanceof MigrationError) || (error.cause !== 'bad-message' && error.cause !== 'message-too-large')) throw error;
        }
      }
      expect(read).toBeGreaterThan(FUZZ_RUNS / 20);
    },
    FUZZ_LIMIT_MS,
  );

  it('is read from the middle of a larger buffer', () => {
    const message = serializeMessage(ENVELOPE);
    const buffer = new Uint8Array(message.length + 10);
    buffer.set(message, 5);
    expect(parseMessage(buffer.subarray(5, 5 + message.length))).toEqual(ENVELOPE);
  });

  it('counts on from the last sequence number to 0', () => {
    expect(nextSequence(0xffffffff)).toBe(0);
  });

  it('tells migrations apart by a hash of their ids', () => {
    const ids = Array.from({ length: 5000 }, (_, index) => `m${index}` as MigrationId);
    const hashes = new Set(ids.map(hashMigrationId));
    expect(hashes.size).toBe(ids.length);
    for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{16}$/);
  });
});
