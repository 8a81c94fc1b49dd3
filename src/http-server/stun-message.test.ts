import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressBytes, parseBindingRequest, serializeBindingSuccess } from './stun-message.ts';

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
const bare = (id: string): Uint8Array => bytes(`0001 0000 2112a442 ${id}`);
const ID = '0102030405060708090a0b0c';

/** The sample of RFC 5769 §2.1: a binding request with six attributes. */
const SAMPLE_REQUEST = bytes(`
  0001 0058 2112a442 b7e7a701bc34d686fa87dfae
  8022 0010 5354554e207465737420636c69656e74
  0024 0004 6e0001ff
  8029 0008 932ff9b151263b36
  0006 0009 6576746a3a68367659202020
  0008 0014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
  8028 0004 e57a3bcf`);

describe('STUN messages', () => {
  it('reads the transaction id of a binding request, with or without attributes', () => {
    expect(parseBindingRequest(bare(ID))).toEqual(bytes(ID));
    expect(parseBindingRequest(SAMPLE_REQUEST)).toEqual(bytes('b7e7a701bc34d686fa87dfae'));
  });

  it('answers with the addresses of the sample responses of RFC 5769 §2.2 and §2.3', () => {
    const id = bytes('b7e7a701bc34d686fa87dfae');
    expect(serializeBindingSuccess(id, addressBytes('192.0.2.1')!, 32853).subarray(20)).toEqual(bytes('0020 0008 0001 a147 e112a643'));
    expect(serializeBindingSuccess(id, addressBytes('2001:db8:1234:5678:11:2233:4455:6677')!, 32853).subarray(20)).toEqual(
      bytes('0020 0014 0002 a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9'),
    );
  });

  it('refuses other types, a wrong cookie, a wrong length and attributes that run over the end', () => {
    expect(parseBindingRequest(bytes(`0101 0000 2112a442 ${ID}`))).toBeNull();
    expect(parseBindingRequest(bytes(`0001 0000 2112a443 ${ID}`))).toBeNull();
    expect(parseBindingRequest(bytes(`0001 0004 2112a442 ${ID}`))).toBeNull();
    expect(parseBindingRequest(bytes(`0001 0004 2112a442 ${ID} 0006 0004`))).toBeNull();
    expect(parseBindingRequest(new Uint8Array(4000))).toBeNull();
  });

  it('throws at nothing that arrives', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (noise) => {
        const message = Uint8Array.of(...bare(ID), ...noise);
        new DataView(message.buffer).setUint16(2, noise.length);
        const answer = parseBindingRequest(message);
        expect(answer === null || answer.length === 12).toBe(true);
        expect(parseBindingRequest(noise)).toBeNull();
      }),
    );
  });

  it('reads addresses as a datagram socket reports them', () => {
    expect(addressBytes('::ffff:10.0.0.7')).toEqual(Uint8Array.of(10, 0, 0, 7));
    expect(addressBytes('fe80::1%eth0')).toEqual(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
    expect(addressBytes('::')).toEqual(new Uint8Array(16));
    for (const wrong of ['', 'localhost', '10.0.0.256', '1::2::3', '1:2:3', 'g::1']) expect(addressBytes(wrong)).toBeNull();
  });
});
