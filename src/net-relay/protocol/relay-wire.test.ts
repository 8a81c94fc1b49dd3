import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FUZZ_LIMIT_MS, FUZZ_RUNS } from '../../shared/testing/full.ts';
import { SeededRandom } from '../../migration/testing/seeded-random.ts';
import {
  hostToRelaySchema,
  MAX_BATCH_FRAMES,
  MAX_BINARY_MESSAGE_BYTES,
  MAX_FRAME_BYTES,
  portToRelaySchema,
  relayToHostSchema,
  relayToPortSchema,
} from './relay-protocol.ts';
import { decodeFrames, decodeText, encodeBatches, encodeFrames } from './relay-wire.ts';

const frame = fc.uint8Array({ minLength: 1, maxLength: 200 });

describe("the relay's wire", () => {
  it('carries any batch of frames unchanged', () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: MAX_BATCH_FRAMES }), fc.constantFrom('frames', 'returned'), (frames, kind) => {
        expect(decodeFrames(encodeFrames(kind, frames))).toEqual({ ok: true, kind, frames });
      }),
    );
  });

  it('splits many frames into messages that are each within the limits', () => {
    const frames = Array.from({ length: 1000 }, () => new Uint8Array(MAX_FRAME_BYTES));
    const messages = [...encodeBatches('frames', frames)];
    expect(Math.max(...messages.map((message) => message.length))).toBe(MAX_BINARY_MESSAGE_BYTES);
    expect(
      messages.flatMap((message) => {
        const decoded = decodeFrames(message);
        return decoded.ok ? decoded.frames : [];
      }),
    ).toHaveLength(1000);
  });

  it('refuses each malformed binary message by its name (NR3)', () => {
    const refusal = (...bytes: number[]): string | null => {
      const decoded = decodeFrames(Uint8Array.from(bytes));
      return decoded.ok ? null : decoded.refusal;
    };
    expect(refusal()).toBe('message-empty');
    expect(refusal(0)).toBe('message-empty');
    expect(refusal(2, 0, 1, 5)).toBe('unknown-kind');
    expect(refusal(0, 0)).toBe('frame-truncated');
    expect(refusal(0, 0, 2, 9)).toBe('frame-truncated');
    expect(refusal(0, 0, 0)).toBe('frame-empty');
    expect(refusal(0, 0xff, 0xff)).toBe('frame-oversized');
    expect(refusal(0, ...Array.from({ length: MAX_BATCH_FRAMES + 1 }, () => [0, 1, 7]).flat())).toBe('too-many-frames');
    expect(decodeFrames(new Uint8Array(MAX_BINARY_MESSAGE_BYTES + 1))).toEqual({ ok: false, refusal: 'message-too-long' });
  });

  it('refuses text that is not JSON, not a message, or too long (NR3)', () => {
    expect(decodeText(hostToRelaySchema, '{')).toEqual({ ok: false, refusal: 'not-json' });
    expect(decodeText(hostToRelaySchema, '[]')).toEqual({ ok: false, refusal: 'unknown-message' });
    expect(decodeText(hostToRelaySchema, '{"type":"to-host","hostId":"../x","body":1}')).toEqual({ ok: false, refusal: 'unknown-message' });
    expect(decodeText(hostToRelaySchema, ' '.repeat(600_000))).toEqual({ ok: false, refusal: 'message-too-long' });
  });

  it(
    'decodes seeded hostile messages without an exception and without a copy (C7)',
    () => {
      const random = new SeededRandom(20240611);
      const schemas = [hostToRelaySchema, relayToHostSchema, portToRelaySchema, relayToPortSchema];
      const words = [
        'type',
        'hello',
        'attach-owner',
        'hold',
        'commit',
        'room',
        'requestId',
        'epoch',
        'vmId',
        'migrationId',
        '__proto__',
        'constructor',
        'toString',
      ];
      const value = (depth: number): unknown => {
        switch (random.below(depth > 3 ? 6 : 8)) {
          case 0:
            return random.pick(words);
          case 1:
            return random.below(2 ** 31) * (random.chance(0.2) ? -1e300 : 1);
          case 2:
            return null;
          case 3:
            return random.chance(0.5);
          case 4:
            return 'x'.repeat(random.below(2000));
          case 5:
            return random.next();
          case 6:
            return Array.from({ length: random.below(5) }, () => value(depth + 1));
          default:
            return Object.fromEntries(Array.from({ length: random.below(8) }, () => [random.pick(words), value(depth + 1)]));
        }
      };
      let accepted = 0;
      for (let run = 0; run < FUZZ_RUNS; run++) {
        const valid = encodeFrames(
          random.pick(['frames', 'returned']),
          Array.from({ length: 1 + random.below(4) }, () => random.bytes(1 + random.below(40))),
        );
        const bytes = random.chance(0.3) ? random.bytes(random.below(64)) : valid;
        for (let flips = random.below(4); flips > 0; flips--) bytes[random.below(bytes.length)] = random.below(256);
        const cut = random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
        const decoded = decodeFrames(cut);
        if (decoded.ok) {
          accepted += 1;
          if (decoded.frames.some((each) => each.length === 0)) expect.fail('An empty frame was let through.');
          if (decoded.frames.some((each) => each.buffer !== cut.buffer)) expect.fail('A frame was copied.');
        }
        const text = JSON.stringify(value(0));
        const broken = random.chance(0.5) ? text : text.slice(0, random.below(text.length + 1));
        for (const schema of schemas) decodeText(schema, broken);
      }
      expect(accepted).toBeGreaterThan(1000);
    },
    FUZZ_LIMIT_MS,
  );
});
