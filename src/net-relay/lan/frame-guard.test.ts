import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Ipv4Address, MacAddress } from '../../shared/ids.ts';
import { gratuitousArp, rarpAnnouncement } from './announcement.ts';
import { guardFrame, parseIpv4, parseMac } from './frame-guard.ts';
import { MAX_FRAME_BYTES } from '../protocol/relay-protocol.ts';
import { ipFrame } from '../testing/relay-harness.ts';

const own = { mac: '02:5a:00:00:00:02', ip: '10.86.0.2' };
const gateway = { mac: '02:00:00:00:00:01', ip: '10.86.0.1' };
const mac = parseMac(own.mac as MacAddress);
const ip = parseIpv4(own.ip as Ipv4Address);
const guard = (frame: Uint8Array): string | null => guardFrame(frame, mac, ip);
const changed = (frame: Uint8Array, at: number, ...bytes: number[]): Uint8Array => {
  const copy = frame.slice();
  copy.set(bytes, at);
  return copy;
};
const arp = gratuitousArp(own.mac as MacAddress, own.ip as Ipv4Address);

describe('what a guest may send (NR19)', () => {
  it('is IPv4 and ARP from its own MAC and IP', () => {
    expect(guard(ipFrame(own, gateway, 1))).toBeNull();
    expect(guard(arp)).toBeNull();
  });

  it('is not a frame from another MAC or IP, nor an ARP answer for somebody else', () => {
    expect(guard(ipFrame({ ...own, mac: gateway.mac }, gateway, 1))).toBe('foreign-mac');
    expect(guard(ipFrame({ ...own, ip: '10.86.0.3' }, gateway, 1))).toBe('spoofed-ip');
    expect(guard(changed(arp, 28, 10, 86, 0, 1))).toBe('spoofed-arp');
    expect(guard(changed(arp, 22, 2, 0, 0, 0, 0, 1))).toBe('spoofed-arp');
  });

  it('may ask for an address before it has one: DHCP and ARP probes, nothing else from 0.0.0.0', () => {
    const discover = changed(ipFrame({ ...own, ip: '0.0.0.0' }, { mac: 'ff:ff:ff:ff:ff:ff', ip: '255.255.255.255' }, 1), 23, 17);
    expect(guard(changed(discover, 36, 0, 67))).toBeNull();
    expect(guard(changed(discover, 36, 0, 53))).toBe('spoofed-ip');
    expect(guard(changed(discover, 23, 6))).toBe('spoofed-ip');
    expect(guard(changed(arp, 28, 0, 0, 0, 0))).toBeNull();
  });

  it('is nothing that hides its sender: IPv6, VLAN tags, RARP, other protocols', () => {
    const frame = ipFrame(own, gateway, 1);
    expect(guard(changed(frame, 12, 0x86, 0xdd))).toBe('ipv6');
    expect(guard(changed(frame, 12, 0x81, 0x00))).toBe('other-protocol');
    expect(guard(rarpAnnouncement(own.mac as MacAddress))).toBe('other-protocol');
  });

  it('is neither too short nor too long nor malformed', () => {
    expect(guard(new Uint8Array(13))).toBe('runt');
    expect(guard(new Uint8Array(MAX_FRAME_BYTES + 1))).toBe('oversized');
    expect(guard(ipFrame(own, gateway, 1).subarray(0, 30))).toBe('malformed-ip');
    expect(guard(changed(ipFrame(own, gateway, 1), 14, 0x44))).toBe('malformed-ip');
    expect(guard(changed(ipFrame(own, gateway, 1), 14, 0x65))).toBe('malformed-ip');
    expect(guard(changed(ipFrame(own, gateway, 1, 50), 14, 0x4f))).toBe('malformed-ip');
    expect(guard(arp.subarray(0, 41))).toBe('malformed-arp');
    expect(guard(changed(arp, 18, 8))).toBe('malformed-arp');
  });

  it('never passes a frame with a foreign sender, whatever its bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 80 }), fc.constantFrom([0x08, 0x00, 0x45], [0x08, 0x06, 0x00]), (bytes, type) => {
        const frame = bytes.slice();
        if (frame.length > 14) frame.set(type, 12);
        if (frame.length >= 12) frame.set(mac, 6);
        if (guard(frame) !== null) return;
        const at = type[1] === 0 ? 26 : 28;
        const sender = [...frame.subarray(at, at + 4)].join('.');
        expect([own.ip, '0.0.0.0']).toContain(sender);
      }),
      { numRuns: 3000 },
    );
  });
});
