import { expect, it } from 'vitest';
import { callerAddress } from './caller-address.ts';

it('takes the addresses of one household for one caller, and leaves this machine out', () => {
  expect(callerAddress('192.0.2.7')).toBe('192.0.2.7');
  expect(callerAddress('::ffff:192.0.2.7')).toBe('192.0.2.7');
  expect(callerAddress('2001:db8:0:1:aaaa::1')).toBe(callerAddress('2001:0db8::1:0:2:3:4'));
  expect(callerAddress('2001:db8:0:2::1')).not.toBe(callerAddress('2001:db8:0:1::1'));
  expect(callerAddress('fe80::1%eth0')).toBe('fe80:0:0:0');
  expect(callerAddress('127.0.1.7')).toBe('127.0.1.7');
  for (const own of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) expect(callerAddress(own)).toBeNull();
});
