import { expect, it } from 'vitest';
import { callerAddress, callersOf } from './caller-address.ts';

it('takes the addresses of one household for one caller, and leaves this machine out', () => {
  expect(callerAddress('192.0.2.7')).toBe('192.0.2.7');
  expect(callerAddress('::ffff:192.0.2.7')).toBe('192.0.2.7');
  expect(callerAddress('2001:db8:0:1:aaaa::1')).toBe(callerAddress('2001:0db8::1:0:2:3:4'));
  expect(callerAddress('2001:db8:0:2::1')).not.toBe(callerAddress('2001:db8:0:1::1'));
  expect(callerAddress('fe80::1%eth0')).toBe('fe80:0:0:0');
  expect(callerAddress('127.0.1.7')).toBe('127.0.1.7');
  for (const own of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) expect(callerAddress(own)).toBeNull();
});

it("takes the proxy's word for who calls, if one is declared, and only what it wrote itself", () => {
  const from = (remoteAddress: string, forwarded?: string | string[]) =>
    ({ socket: { remoteAddress }, headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded } }) as unknown as Parameters<
      ReturnType<typeof callersOf>
    >[0];
  const [behind, alone] = [callersOf(true), callersOf(false)];
  expect(behind(from('127.0.0.1', '192.0.2.7'))).toBe('192.0.2.7');
  expect(behind(from('::ffff:127.0.0.1', '10.9.9.9, 2001:db8:0:1::5'))).toBe('2001:db8:0:1');
  expect(behind(from('127.0.0.1', ['198.51.100.1', '192.0.2.7']))).toBe('192.0.2.7');
  // In a request that comes from elsewhere, past the proxy, anybody may have written the header.
  expect(behind(from('192.0.2.9', '192.0.2.7'))).toBe('192.0.2.9');
  for (const forwarded of [undefined, '', 'unknown', '192.0.2.7, nobody']) expect(behind(from('127.0.0.1', forwarded))).toBeNull();
  expect(alone(from('127.0.0.1', '192.0.2.7'))).toBeNull();
});
