import { describe, expect, it } from 'vitest';
import { FUZZ_LIMIT_MS, FUZZ_RUNS } from '../shared/testing/full.ts';
import { DeviceAssembly, serializeDevices } from './device-codec.ts';
import { DEVICE_CHUNK_BYTES, MAX_DEVICE_STATE_BYTES } from './limits.ts';
import { MigrationError } from './migration-error.ts';
import { deflateCompressor } from './testing/codecs.ts';
import { SeededRandom } from './testing/seeded-random.ts';
import { MAX_PAYLOAD_BYTES } from './wire.ts';

const BAD = expect.objectContaining({ name: 'MigrationError', cause: 'bad-message' }) as Error;

function assemble(pieces: Iterable<Uint8Array>, base: Uint8Array | null = null): DeviceAssembly {
  const assembly = new DeviceAssembly(base);
  for (const piece of pieces) assembly.add(piece, deflateCompressor);
  return assembly;
}

function piece(coding: number, total: number, offset: number, raw: number, data: Uint8Array): Uint8Array {
  const payload = new Uint8Array(13 + data.length);
  const view = new DataView(payload.buffer);
  view.setUint8(0, coding);
  view.setUint32(1, total);
  view.setUint32(5, offset);
  view.setUint32(9, raw);
  payload.set(data, 13);
  return payload;
}

describe('The device state', () => {
  it('comes out of its pieces as it went in, compressible or not (MG8)', () => {
    const random = new SeededRandom(4);
    for (const state of [new Uint8Array(0), new Uint8Array(5), new Uint8Array(3 * DEVICE_CHUNK_BYTES), random.bytes(DEVICE_CHUNK_BYTES + 1)]) {
      const pieces = [...serializeDevices(state, null, deflateCompressor)];
      expect(pieces.every((payload) => payload.length <= MAX_PAYLOAD_BYTES)).toBe(true);
      expect(Buffer.compare(assemble(pieces).finish(state.length), state)).toBe(0);
    }
  });

  it("is the difference from the base snapshot's where that is shorter, whichever of the two is longer (MG8)", () => {
    const random = new SeededRandom(5);
    const base = random.bytes(2 * DEVICE_CHUNK_BYTES + 500);
    for (const [bytes, most] of [
      [DEVICE_CHUNK_BYTES + 7, 1000],
      [2 * DEVICE_CHUNK_BYTES + 500, 1000],
      [3 * DEVICE_CHUNK_BYTES, DEVICE_CHUNK_BYTES + 1000],
    ] as const) {
      const state = random.bytes(bytes);
      state.set(base.subarray(0, bytes));
      state.fill(1, 100, 140);
      const pieces = [...serializeDevices(state, base, deflateCompressor)];
      expect(pieces.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(most);
      expect(Buffer.compare(assemble(pieces, base).finish(state.length), state)).toBe(0);
    }
    const other = random.bytes(DEVICE_CHUNK_BYTES);
    expect(Buffer.compare(assemble(serializeDevices(other, base, deflateCompressor), base).finish(other.length), other)).toBe(0);
  });

  it('is not cut into pieces if it is larger than allowed', () => {
    expect(() => [...serializeDevices(new Uint8Array(MAX_DEVICE_STATE_BYTES + 1), null, deflateCompressor)]).toThrow(
      expect.objectContaining({ cause: 'internal' }) as Error,
    );
  });

  const data = new Uint8Array(10);
  const rejections: [string, Uint8Array[]][] = [
    ['no header', [new Uint8Array(12)]],
    ['an unknown coding', [piece(3, 10, 0, 10, data)]],
    ['more than is allowed', [piece(0, MAX_DEVICE_STATE_BYTES + 1, 0, 10, data)]],
    ['a first piece that is not the first', [piece(0, 30, 10, 10, data)]],
    ['a piece that comes twice', [piece(0, 30, 0, 10, data), piece(0, 30, 0, 10, data)]],
    ['a piece left out', [piece(0, 30, 0, 10, data), piece(0, 30, 20, 10, data)]],
    ['pieces of two states', [piece(0, 30, 0, 10, data), piece(0, 40, 10, 10, data)]],
    ['an empty piece', [piece(0, 30, 0, 0, new Uint8Array(0))]],
    ['a piece beyond the end', [piece(0, 15, 0, 10, data), piece(0, 15, 10, 10, data)]],
    ['a piece that is too long', [piece(0, 1 << 20, 0, DEVICE_CHUNK_BYTES + 1, data)]],
    ['less data than it says', [piece(0, 30, 0, 11, data)]],
    ['compressed data that is none', [piece(1, 30, 0, 10, Uint8Array.of(0xff, 0xff))]],
    ['a difference from what is not known', [piece(2, 30, 0, 10, deflateCompressor.compress(data))]],
    ['compressed data of another size', [piece(1, 30, 0, 11, deflateCompressor.compress(data))]],
  ];
  for (const [what, pieces] of rejections) {
    it(`is refused with ${what} (MG8)`, () => {
      expect(() => assemble(pieces)).toThrow(BAD);
    });
  }

  it('is refused if it is not as long as announced (MG19)', () => {
    expect(() => assemble([piece(0, 30, 0, 10, data)]).finish(30)).toThrow(BAD);
    expect(() => new DeviceAssembly(null).finish(1)).toThrow(BAD);
  });

  it(
    'made of anything is either taken or refused by name (MG6, C7)',
    () => {
      const random = new SeededRandom(9);
      for (let count = 0; count < FUZZ_RUNS; count++) {
        const payload = random.chance(0.5)
          ? random.bytes(random.below(60))
          : piece(random.below(4), random.below(60), random.below(20), random.below(30), random.bytes(random.below(30)));
        try {
          // Also twice, and after a good piece.
          assemble(random.pick([[payload], [payload, payload], [piece(0, 30, 0, 10, new Uint8Array(10)), payload]]));
        } catch (error) {
          if (!(error instanceof MigrationError)) throw error;
        }
      }
    },
    FUZZ_LIMIT_MS,
  );
});
