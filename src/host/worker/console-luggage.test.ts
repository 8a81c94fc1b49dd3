import { describe, expect, it } from 'vitest';
import { packLuggage, unpackLuggage } from './console-luggage.ts';

describe('the console\'s luggage', () => {
  const devices = Uint8Array.of(9, 8, 7, 6, 5);
  const packed = packLuggage({ printed: 2 ** 40, applied: [['host', 7]] }, devices);

  it('arrives with the device state', () => {
    const { luggage, devices: arrived } = unpackLuggage(packed);
    expect(luggage).toEqual({ printed: 2 ** 40, applied: [['host', 7]] });
    expect([...arrived]).toEqual([...devices]);
  });

  it('is refused when it is cut off, larger than what came, no JSON or of another shape', () => {
    const withLength = (length: number): Uint8Array => {
      const wrong = packed.slice();
      new DataView(wrong.buffer).setUint32(0, length, true);
      return wrong;
    };
    const wrongOnes = [packed.subarray(0, 3), withLength(packed.length), withLength(0xffff_ffff), withLength(5), packLuggage({ printed: -1, applied: [] }, devices), packLuggage({ printed: 1, applied: Array.from({ length: 65 }, () => ['host', 1] as const) }, devices)];
    for (const wrong of wrongOnes) expect(() => unpackLuggage(wrong)).toThrow('The device state is not as agreed');
  });
});
