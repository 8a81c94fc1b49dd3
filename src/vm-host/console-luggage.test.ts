import { describe, expect, it } from 'vitest';
import * as v from 'valibot';
import { fromBase64, toBase64 } from '../host/console-bytes.ts';
import { ConsoleInbox } from './console-inbox.ts';
import { hostMessageSchema, MAX_CONSOLE_BYTES } from '../host/host-messages.ts';
import { packLuggage, unpackLuggage } from './console-luggage.ts';

describe("the console's luggage", () => {
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
      new DataView(wrong.buffer).setUint32(wrong.length - 4, length, true);
      return wrong;
    };
    const wrongOnes = [
      packed.subarray(0, 3),
      withLength(packed.length),
      withLength(0xffff_ffff),
      withLength(5),
      packLuggage({ printed: -1, applied: [] }, devices),
      packLuggage({ printed: 1, applied: Array.from({ length: 65 }, () => ['host', 1] as const) }, devices),
    ];
    for (const wrong of wrongOnes) expect(() => unpackLuggage(wrong)).toThrow('The device state is not as agreed');
  });

  it("arrives whatever places the room's tabs typed at", () => {
    const inbox = new ConsoleInbox();
    const data = toBase64(new Uint8Array(MAX_CONSOLE_BYTES).fill(1));
    for (const place of [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - MAX_CONSOLE_BYTES + 1, Number.MAX_SAFE_INTEGER - MAX_CONSOLE_BYTES, 2 ** 52]) {
      for (const at of [
        { acknowledged: place, from: place },
        { acknowledged: 0, from: place },
        { acknowledged: place, from: 0 },
      ]) {
        const { success, output } = v.safeParse(hostMessageSchema, { type: 'console-input', vmId: 'vm-1', data, ...at });
        if (success && output.type === 'console-input') inbox.take('tab', { ...output, data: fromBase64(output.data) });
      }
    }
    expect(inbox.state()).toEqual([['tab', Number.MAX_SAFE_INTEGER]]);
    expect(unpackLuggage(packLuggage({ printed: 1, applied: inbox.state() }, devices)).luggage.applied).toEqual(inbox.state());
  });
});
