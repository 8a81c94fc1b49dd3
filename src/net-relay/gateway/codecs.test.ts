import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatIpv4Address, formatMacAddress, parseIpv4Address, parseMacAddress } from './address.ts';
import { parseArp, serializeArp } from './arp.ts';
import { addToSum, foldSum } from './checksum.ts';
import { parseDhcp, serializeDhcp } from './dhcp-message.ts';
import { parseDnsAnswer, parseDnsQuery, serializeDnsAnswer, serializeDnsQuery } from './dns-message.ts';
import { parseEthernet, serializeEthernet } from './ethernet.ts';
import { parseIcmp, serializeIcmp } from './icmp.ts';
import { parseIpv4, serializeIpv4 } from './ipv4.ts';
import { parseTcp, serializeTcp, type TcpOptions } from './tcp/segment.ts';
import { parseUdp, serializeUdp } from './udp.ts';

const mac = fc.integer({ min: 0, max: 0xffff_ffff_ffff });
const ip = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = ip;
const payload = (max: number) => fc.uint8Array({ maxLength: max });

const tcpOptions: fc.Arbitrary<TcpOptions> = fc.oneof(
  fc.record(
    { mss: u16, windowShift: fc.integer({ min: 0, max: 14 }), sackPermitted: fc.constant(true), timestamp: fc.record({ value: u32, echo: u32 }) },
    { requiredKeys: [] },
  ),
  fc.record(
    { timestamp: fc.record({ value: u32, echo: u32 }), sack: fc.array(fc.record({ start: u32, end: u32 }), { minLength: 1, maxLength: 3 }) },
    { requiredKeys: [] },
  ),
);

/** The textbook's way, 16 bits at a time. */
function plainChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return 0xffff - sum;
}

describe('the codecs', () => {
  it('give back what they were given, at any place in a larger buffer', () => {
    const shifted = (bytes: Uint8Array, by: number): Uint8Array => {
      const larger = new Uint8Array(bytes.length + by + 5).fill(0xee);
      larger.set(bytes, by);
      return larger.subarray(by, by + bytes.length);
    };
    fc.assert(
      fc.property(mac, mac, u16, payload(1504), fc.nat(7), (destination, source, etherType, body, shift) => {
        expect(parseEthernet(shifted(serializeEthernet({ destination, source, etherType, payload: body }), shift))).toEqual({
          destination,
          source,
          etherType,
          payload: body,
        });
      }),
    );
    fc.assert(
      fc.property(fc.constantFrom('request', 'reply'), mac, ip, mac, ip, fc.nat(7), (operation, senderMac, senderIp, targetMac, targetIp, shift) => {
        const arp = { operation, senderMac, senderIp, targetMac, targetIp } as const;
        expect(parseArp(shifted(serializeArp(arp), shift))).toEqual(arp);
      }),
    );
    fc.assert(
      fc.property(
        ip,
        ip,
        fc.nat(255),
        u16,
        fc.nat(0x1fff),
        fc.boolean(),
        payload(1480),
        fc.nat(7),
        (source, destination, protocol, id, offset, more, body, shift) => {
          const header = { source, destination, protocol, id, flagsAndOffset: offset | (more ? 0x2000 : 0) };
          const packet = parseIpv4(shifted(serializeIpv4(header, body), shift));
          expect(packet).toMatchObject({ source, destination, protocol, id, fragmentOffset: offset * 8, moreFragments: more, payload: body });
        },
      ),
    );
    fc.assert(
      fc.property(fc.nat(255), fc.nat(255), u32, payload(1472), (type, code, rest, body) => {
        expect(parseIcmp(serializeIcmp({ type, code, rest, payload: body }))).toEqual({ type, code, rest, payload: body });
      }),
    );
    fc.assert(
      fc.property(u16, u16, ip, ip, payload(1472), fc.nat(7), (sourcePort, destinationPort, source, destination, body, shift) => {
        const datagram = { sourcePort, destinationPort, payload: body };
        expect(parseUdp(shifted(serializeUdp(datagram, source, destination), shift), source, destination)).toEqual(datagram);
      }),
    );
    fc.assert(
      fc.property(
        u16,
        u16,
        u32,
        u32,
        fc.nat(31),
        u16,
        tcpOptions,
        payload(1440),
        ip,
        ip,
        fc.nat(7),
        (sourcePort, destinationPort, seq, ack, flags, window, options, body, source, destination, shift) => {
          const segment = { sourcePort, destinationPort, seq, ack, flags, window, options, payload: body };
          expect(parseTcp(shifted(serializeTcp(segment, source, destination), shift), source, destination)).toEqual(segment);
        },
      ),
    );
    fc.assert(
      fc.property(
        u32,
        u16,
        ip,
        ip,
        mac,
        fc.array(fc.tuple(fc.integer({ min: 1, max: 254 }), payload(255)), { maxLength: 5 }),
        (transaction, flags, clientIp, yourIp, client, options) => {
          const message = { op: 1, transaction, flags, clientIp, yourIp, relayIp: 0, mac: client, options: new Map(options) } as const;
          expect(parseDhcp(serializeDhcp(message))).toEqual(message);
        },
      ),
    );
    fc.assert(
      fc.property(
        u16,
        fc.array(fc.stringMatching(/^[a-z0-9-]{1,20}$/), { minLength: 0, maxLength: 6 }),
        u16,
        fc.array(ip, { maxLength: 14 }),
        (id, labels, type, addresses) => {
          const bytes = serializeDnsQuery(id, labels.join('.'), type);
          const query = parseDnsQuery(bytes);
          if (query === 'dns-malformed') throw new Error(query);
          expect(query).toMatchObject({ id, name: labels.join('.'), type, class: 1, recursionDesired: true });
          expect(parseDnsAnswer(serializeDnsAnswer(query, { code: 3, authoritative: true, addresses, ttlSeconds: 5 }), bytes)).toEqual({ code: 3, addresses });
        },
      ),
    );
  });

  it('notice any single changed bit by their checksum', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 64 }), fc.nat(), fc.nat(7), (body, place, bit) => {
        const flip = (bytes: Uint8Array, from: number, to: number): Uint8Array => {
          const changed = bytes.slice();
          const at = from + (place % (to - from));
          changed[at] = (changed[at] ?? 0) ^ (1 << bit);
          return changed;
        };
        const udp = serializeUdp({ sourcePort: 1, destinationPort: 2, payload: body }, 3, 4);
        // Bytes 4..5 are the length, 6..7 the checksum itself, where a change to zero would mean "none".
        if (body.length > 0) expect(parseUdp(flip(udp, 8, udp.length), 3, 4)).toBe('udp-bad-checksum');
        const tcp = serializeTcp({ sourcePort: 1, destinationPort: 2, seq: 3, ack: 4, flags: 16, window: 5, options: {}, payload: body }, 3, 4);
        expect(typeof parseTcp(flip(tcp, 0, tcp.length), 3, 4)).toBe('string');
        const icmp = serializeIcmp({ type: 8, code: 0, rest: 1, payload: body });
        expect(typeof parseIcmp(flip(icmp, 0, icmp.length))).toBe('string');
        const ipv4 = serializeIpv4({ source: 1, destination: 2, protocol: 6, id: 0, flagsAndOffset: 0 }, body);
        expect(typeof parseIpv4(flip(ipv4, 0, 20))).toBe('string');
      }),
    );
  });

  it('sum 32 bits at a time to the same checksum as 16', () => {
    fc.assert(
      fc.property(payload(3000), fc.nat(20), (bytes, offset) => {
        const from = Math.min(offset, bytes.length);
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        expect(foldSum(addToSum(0, view, from, bytes.length - from))).toBe(plainChecksum(bytes.subarray(from)));
      }),
    );
  });

  it('read and write addresses as people do', () => {
    fc.assert(fc.property(ip, (address) => parseIpv4Address(formatIpv4Address(address)) === address));
    fc.assert(fc.property(mac, (address) => parseMacAddress(formatMacAddress(address)) === address));
    for (const text of ['', '1.2.3', '1.2.3.256', '1.2.3.4.5', 'a.b.c.d', ' 1.2.3.4']) expect(parseIpv4Address(text), text).toBe(null);
    for (const text of ['', '02:00:00:00:00', '02-00-00-00-00-01', '02:00:00:00:00:0g']) expect(parseMacAddress(text), text).toBe(null);
  });
});
