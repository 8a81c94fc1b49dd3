import { describe, expect, it } from 'vitest';
import { displayHost, exposureNotice, origin, outsideAddresses, outsideOrigins } from './addresses.ts';

const PATHS = { roomPath: '/#key', ownerPath: '/#key&owner=secret' };

describe('addresses', () => {
  it('are written so that a browser understands them', () => {
    expect(origin(false, 'localhost', 8686)).toBe('http://localhost:8686');
    expect(origin(true, 'fe80::1', 443)).toBe('https://[fe80::1]:443');
    expect(['127.0.0.1', '0.0.0.0', '::', '192.0.2.1'].map(displayHost)).toEqual(['localhost', 'localhost', 'localhost', '192.0.2.1']);
  });

  it('of this machine only come with how to let others in', () => {
    for (const host of ['127.0.0.1', '127.0.0.2', '::1', 'localhost']) {
      const notice = exposureNotice({ host, port: 8686, secure: false, behindProxy: false }, PATHS, ['192.0.2.1']).join('\n');
      expect(notice).toContain('--host 0.0.0.0');
      expect(notice).not.toContain('192.0.2.1');
      expect(outsideOrigins(host, 8686, false, ['192.0.2.1'])).toEqual([]);
    }
  });

  it('behind a proxy are left to the proxy', () => {
    const notice = exposureNotice({ host: '127.0.0.1', port: 8686, secure: false, behindProxy: true }, PATHS, ['192.0.2.1']).join('\n');
    expect(notice).toContain('/#key behind it');
    expect(notice).toContain('/#key&owner=secret instead owns');
    expect(notice).not.toContain('--host');
  });

  it('of a network come with who can reach them, and with the price of plain http', () => {
    const notice = exposureNotice({ host: '0.0.0.0', port: 8686, secure: false, behindProxy: false }, PATHS, ['192.0.2.1', '192.0.2.2']).join('\n');
    expect(notice).toContain('http://192.0.2.1:8686/#key');
    expect(notice).toContain('http://192.0.2.2:8686/#key');
    expect(notice).toContain('/#key&owner=secret instead owns');
    expect(notice).toContain('plain http');
    expect(exposureNotice({ host: '192.0.2.1', port: 8686, secure: true, behindProxy: false }, PATHS, []).join('\n')).not.toContain('plain http');
  });

  it('for an invitation are those that other computers reach', () => {
    expect(outsideOrigins('0.0.0.0', 8686, false, ['192.0.2.1', '192.0.2.2'])).toEqual(['http://192.0.2.1:8686', 'http://192.0.2.2:8686']);
    expect(outsideOrigins('::', 8686, true, ['192.0.2.1'])).toEqual(['https://192.0.2.1:8686']);
    expect(outsideOrigins('192.0.2.7', 80, false, ['192.0.2.1'])).toEqual(['http://192.0.2.7:80']);
  });

  it('of virtual interfaces come last', () => {
    const entry = (address: string) => ({ address, netmask: '', mac: '', internal: false, cidr: null, family: 'IPv4' as const });
    expect(
      outsideAddresses({ docker0: [entry('172.17.0.1')], 'br-1f': [entry('172.18.0.1')], wlan0: [entry('192.0.2.1')], tap0: [entry('10.86.0.254')] }),
    ).toEqual(['192.0.2.1', '172.17.0.1', '172.18.0.1', '10.86.0.254']);
  });

  it('of other interfaces leave out loopback and IPv6', () => {
    const entry = { address: '192.0.2.1', netmask: '', mac: '', internal: false, cidr: null, family: 'IPv4' as const };
    expect(
      outsideAddresses({
        lo: [{ ...entry, address: '127.0.0.1', internal: true }],
        eth0: [entry, { ...entry, address: 'fe80::1', family: 'IPv6', scopeid: 0 }],
        none: undefined,
      }),
    ).toEqual(['192.0.2.1']);
  });
});
