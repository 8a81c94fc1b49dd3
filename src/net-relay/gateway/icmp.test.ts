import { describe, expect, it } from 'vitest';
import { MAX_PROBES_PER_SECOND } from '../limits/server-limits.ts';
import { PING_LOST_AFTER_MS, type PingSample } from './echo-prober.ts';
import { IcmpType, UnreachableCode } from './icmp.ts';
import { IpProtocol } from './ipv4.ts';
import { GATEWAY_ADDRESS, gatewayWorld, OUTSIDE } from './testing/gateway-world.ts';
import { noise } from './testing/tcp-host.ts';

describe('ping', () => {
  it('is answered with its own bytes, in fragments if it came in fragments (GW7)', async () => {
    const { one, pass } = gatewayWorld();
    one.ping(GATEWAY_ADDRESS, 1, noise(1, 56));
    one.ping(GATEWAY_ADDRESS, 2, noise(2, 20_000));
    await pass(0);
    expect(one.icmp.map((message) => [message.type, message.rest])).toEqual([
      [IcmpType.echoReply, 0x10001],
      [IcmpType.echoReply, 0x10002],
    ]);
    expect(Buffer.compare(one.icmp[1]!.payload, noise(2, 20_000))).toBe(0);
  });

  it('goes to a guest on a steady beat, each beat reported once with its round trip (GW8)', async () => {
    const { gateway, pass } = gatewayWorld();
    const samples: PingSample[] = [];
    const ping = gateway.startPing('one', 100, (sample) => void samples.push(sample));
    await pass(1050);
    ping.dispose();
    await pass(1000);
    expect(samples).toEqual(Array.from({ length: 11 }, (_, seq) => ({ seq, rttMs: 0 })));
  });

  it('slows the beat of each guest down when there are many, so that the room is pinged no more often (GW8)', async () => {
    const { gateway, pass } = gatewayWorld();
    const seconds = 10;
    for (const streams of [40, 60, 240]) {
      let samples = 0;
      const pings = Array.from({ length: streams }, () => gateway.startPing('one', 100, () => void (samples += 1)));
      await pass(seconds * 1000);
      for (const ping of pings) ping.dispose();
      // The first probe of each goes at once, and the second before all the others are there.
      expect(samples).toBeLessThanOrEqual(MAX_PROBES_PER_SECOND * seconds + 2 * streams);
      expect(samples).toBeGreaterThanOrEqual(MAX_PROBES_PER_SECOND * seconds - streams);
    }
  });

  it('counts a probe as late, not lost, through a pause shorter than the limit (GW9)', async () => {
    const { gateway, one, pass, clock } = gatewayWorld();
    const samples: PingSample[] = [];
    const ping = gateway.startPing('one', 100, (sample) => void samples.push(sample));
    await pass(250);
    // The switch holds frames while the guest is stopped, and delivers them afterwards.
    const deliver = one.receive.bind(one);
    const held: Uint8Array[] = [];
    one.receive = (frame) => void held.push(frame);
    await pass(2000);
    one.receive = deliver;
    for (const frame of held) deliver(frame);
    await pass(300);
    ping.dispose();
    expect(samples.some((sample) => sample.rttMs === null)).toBe(false);
    expect(samples.map((sample) => sample.seq)).toEqual(samples.map((_, index) => index));
    expect(Math.max(...samples.map((sample) => sample.rttMs ?? 0))).toBeGreaterThan(1900);
    expect(clock.pending).toBe(0);
  });

  it('reports a lost probe exactly once, when the limit has passed; what comes later is only counted (GW9)', async () => {
    const { gateway, one, pass } = gatewayWorld();
    const samples: PingSample[] = [];
    one.answersPing = false;
    const ping = gateway.startPing('one', 1000, (sample) => void samples.push(sample));
    await pass(PING_LOST_AFTER_MS - 500);
    expect(samples).toEqual([]);
    await pass(1000);
    expect(samples).toEqual([{ seq: 0, rttMs: null }]);
    const [first] = one.icmp;
    one.sendPacket(GATEWAY_ADDRESS, IpProtocol.icmp, echoReply(first!.rest));
    await pass(900);
    expect(samples).toHaveLength(2);
    expect(gateway.stats()['ping-late']).toBe(1);
    ping.dispose();
  });

  it('counts a second answer to one probe, and reports none (GW9)', async () => {
    const { gateway, one, pass } = gatewayWorld();
    const samples: PingSample[] = [];
    const ping = gateway.startPing('one', 1000, (sample) => void samples.push(sample));
    await pass(10);
    one.sendPacket(GATEWAY_ADDRESS, IpProtocol.icmp, echoReply(one.icmp[0]!.rest));
    await pass(10);
    ping.dispose();
    expect(samples).toHaveLength(1);
    expect(gateway.stats()['ping-duplicates']).toBe(1);
  });

  it('does not take an answer from another guest (GW9)', async () => {
    const { gateway, one, two, pass } = gatewayWorld();
    const samples: PingSample[] = [];
    one.answersPing = false;
    const ping = gateway.startPing('one', 1000, (sample) => void samples.push(sample));
    await pass(10);
    two.sendPacket(GATEWAY_ADDRESS, IpProtocol.icmp, echoReply(one.icmp[0]!.rest));
    await pass(10);
    ping.dispose();
    expect(samples).toEqual([]);
  });

  it('to the outside is answered as prohibited, a limited number of times a second (GW10, GW56)', async () => {
    const { gateway, one, pass } = gatewayWorld();
    for (let sequence = 0; sequence < 500; sequence++) one.ping(OUTSIDE, sequence);
    await pass(0);
    expect(one.icmp[0]).toMatchObject({ type: IcmpType.unreachable, code: UnreachableCode.prohibited, source: GATEWAY_ADDRESS });
    expect(one.icmp.length).toBeLessThan(200);
    expect(gateway.stats()['icmp-limited']).toBe(500 - one.icmp.length);
  });

  it('of a VM that is not there cannot be started', () => {
    const { gateway } = gatewayWorld();
    expect(() => gateway.startPing('three', 100, () => undefined)).toThrow(/There is no such VM/);
  });
});

/** An answer as a guest gives it; its checksum is that of an empty echo reply. */
function echoReply(rest: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, rest);
  let sum = (rest >>> 16) + (rest & 0xffff);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(2, 0xffff - sum);
  return bytes;
}
