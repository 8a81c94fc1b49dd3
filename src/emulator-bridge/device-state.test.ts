import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from './crc32.ts';
import { decodeDeviceState, encodeDeviceState, MAX_DEVICE_STATE_BYTES, type DeviceState } from './device-state.ts';

const bytes = (maxLength = 40): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });
const anyState: fc.Arbitrary<DeviceState> = fc.record({
  clock: fc.record({
    tsc: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    monotonicMs: fc.double({ noNaN: true, noDefaultInfinity: true }),
    wallMs: fc.double({ noNaN: true, noDefaultInfinity: true }),
  }),
  v86: bytes(300),
  hidden: bytes(),
  uart0: bytes(),
  uart1: bytes(),
  input: bytes(),
  scrollback: bytes(200),
});

const sample: DeviceState = {
  clock: { tsc: 12_345n, monotonicMs: 5.5, wallMs: 1.7e12 },
  v86: Uint8Array.of(1, 2, 3, 4, 5),
  hidden: Uint8Array.of(12),
  uart0: Uint8Array.of(6),
  uart1: new Uint8Array(0),
  input: Uint8Array.of(7, 8),
  scrollback: Uint8Array.of(9, 10, 11),
};

/** The envelope of `sample` after `damage`, with length and checksum made right again. */
function damaged(damage: (view: DataView) => void): Uint8Array {
  const envelope = encodeDeviceState(sample);
  const view = new DataView(envelope.buffer);
  damage(view);
  view.setUint32(12, crc32(envelope.subarray(16)), true);
  return envelope;
}

const refusal = (envelope: Uint8Array): string => {
  try {
    decodeDeviceState(envelope);
  } catch (error) {
    expect(error).toMatchObject({ name: 'MachineError', code: 'state-invalid' });
    return (error as Error).message;
  }
  throw new Error('It was accepted');
};

describe('the envelope of the device state', () => {
  it('gives back what it was given', () => {
    fc.assert(
      fc.property(anyState, (state) => {
        expect(decodeDeviceState(encodeDeviceState(state))).toEqual(state);
      }),
    );
  });

  it('reads an envelope that lies inside a larger buffer, at any place', () => {
    fc.assert(
      fc.property(anyState, fc.nat(9), (state, start) => {
        const envelope = encodeDeviceState(state);
        const buffer = new Uint8Array(start + envelope.length + 3);
        buffer.set(envelope, start);
        expect(decodeDeviceState(buffer.subarray(start, start + envelope.length))).toEqual(state);
      }),
    );
  });

  it('refuses any envelope of which one bit has changed', () => {
    const envelope = encodeDeviceState(sample);
    fc.assert(
      fc.property(fc.nat(envelope.length * 8 - 1), (bit) => {
        const changed = envelope.slice();
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        refusal(changed);
      }),
    );
  });

  it('refuses any envelope that is cut short', () => {
    const envelope = encodeDeviceState(sample);
    fc.assert(
      fc.property(fc.nat(envelope.length - 1), (length) => {
        refusal(envelope.subarray(0, length));
      }),
    );
  });

  it('refuses garbage, and never with another kind of error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        refusal(garbage);
      }),
    );
  });

  it('refuses fewer bytes than a header has', () => expect(refusal(new Uint8Array(15))).toMatch(/only 15 bytes/));
  it('refuses more bytes than are allowed', () => expect(refusal(new Uint8Array(MAX_DEVICE_STATE_BYTES + 1))).toMatch(/more than/));
  it('refuses another magic number', () => expect(refusal(damaged((view) => view.setUint8(0, 0)))).toMatch(/does not begin/));
  it('refuses another version, and says which page to reload', () =>
    expect(refusal(damaged((view) => view.setUint32(4, 3, true)))).toMatch(/format 3.*reload/));
  it('refuses another length', () => expect(refusal(damaged((view) => view.setUint32(8, 99, true)))).toMatch(/should have 99 bytes/));
  it('refuses a wrong checksum', () => {
    const envelope = encodeDeviceState(sample);
    envelope[12] = (envelope[12] ?? 0) ^ 1;
    expect(refusal(envelope)).toMatch(/checksum/);
  });
  it('refuses parts in another order', () => expect(refusal(damaged((view) => view.setUint32(16, 1, true)))).toMatch(/something else where its part "clock"/));
  it('refuses a part that claims more than its limit', () =>
    expect(refusal(damaged((view) => view.setUint32(20, 2 ** 31, true)))).toMatch(/part "clock" has 2147483648 bytes/));
  it('refuses a part that goes beyond the end', () => expect(refusal(damaged((view) => view.setUint32(52, 4000, true)))).toMatch(/"v86" is cut off/));
  it('refuses a clock that shows no time', () => expect(refusal(damaged((view) => view.setFloat64(32, NaN, true)))).toMatch(/no time/));
  it('refuses to save a part that no other host would accept', () => {
    expect(() => encodeDeviceState({ ...sample, uart0: new Uint8Array(2 * 1024 * 1024) })).toThrow(/"uart0" has 2097152 bytes/);
  });
});
