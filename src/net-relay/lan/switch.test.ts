import { beforeEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../migration/testing/seeded-random.ts';
import type { Ipv4Address, MacAddress } from '../../shared/ids.ts';
import { FULL, FUZZ_LIMIT_MS } from '../../shared/testing/full.ts';
import { VirtualClock } from '../../migration/testing/virtual-clock.ts';
import { Counters } from '../../shared/counters.ts';
import { MAX_HELD_BYTES, MAX_HELD_FRAMES } from '../limits/server-limits.ts';
import { MAX_FRAME_BYTES } from '../protocol/relay-protocol.ts';
import { Switch } from './switch.ts';
import { ipFrame, numberOf, recordingStation } from '../testing/relay-harness.ts';
import { VmPort, type PortDrop } from './vm-port.ts';

const one = { mac: '02:5a:00:00:00:01', ip: '10.86.0.2' };
const two = { mac: '02:5a:00:00:00:02', ip: '10.86.0.3' };
const everybody = { mac: 'ff:ff:ff:ff:ff:ff', ip: '10.86.0.255' };
const outside = { mac: '52:54:00:12:34:56', ip: '192.0.2.1' };

const HOSTILE_FRAMES = FULL ? 1_000_000 : 100_000;

let lanSwitch: Switch;
beforeEach(() => {
  lanSwitch = new Switch();
});
const plug = (mac: string) => {
  const station = recordingStation();
  return { station, socket: lanSwitch.plug(station, { mac: mac as MacAddress }), numbers: () => station.received.map(numberOf) };
};

describe('the switch of a room', () => {
  it('delivers a frame to the station at its destination only, and a group frame to all others', () => {
    const [a, b, c] = [plug(one.mac), plug(two.mac), plug('02:5a:00:00:00:03')];
    a.socket.send(ipFrame(one, two, 1));
    a.socket.send(ipFrame(one, everybody, 2));
    expect([a.numbers(), b.numbers(), c.numbers()]).toEqual([[], [1, 2], [2]]);
  });

  it('drops frames for nobody, runts and oversized ones by name', () => {
    const a = plug(one.mac);
    a.socket.send(ipFrame(one, outside, 1));
    a.socket.send(new Uint8Array(13));
    a.socket.send(new Uint8Array(MAX_FRAME_BYTES + 1));
    expect(lanSwitch.drops.toJSON()).toEqual({ 'no-such-station': 1, runt: 1, oversized: 1 });
  });

  it('sends what nobody here answers to the uplink, and refuses frames from there that claim a local address', () => {
    const a = plug(one.mac);
    const uplink = recordingStation();
    const socket = lanSwitch.plug(uplink, { uplink: true });
    a.socket.send(ipFrame(one, outside, 1));
    a.socket.send(ipFrame(one, two, 2));
    socket.send(ipFrame(outside, one, 3));
    socket.send(ipFrame(one, everybody, 4));
    expect(uplink.received.map(numberOf)).toEqual([1, 2]);
    expect(a.numbers()).toEqual([3]);
    expect(lanSwitch.drops.toJSON()).toEqual({ 'claims-local-mac': 1 });
  });

  it('gives a copy of every frame to a listener, which cannot send', () => {
    const [a, b] = [plug(one.mac), plug(two.mac)];
    const listener = recordingStation();
    const socket = lanSwitch.plug(listener, { tap: 'copy' });
    a.socket.send(ipFrame(one, two, 1));
    socket.send(ipFrame(one, two, 2));
    expect(listener.received.map(numberOf)).toEqual([1]);
    expect(b.numbers()).toEqual([1]);
  });

  it('forgets an unplugged station, whose address can then be plugged in again', () => {
    const [a, b] = [plug(one.mac), plug(two.mac)];
    expect(() => plug(two.mac)).toThrow('plugged in already');
    b.socket.dispose();
    a.socket.send(ipFrame(one, two, 1));
    const again = plug(two.mac);
    a.socket.send(ipFrame(one, two, 2));
    expect([b.numbers(), again.numbers()]).toEqual([[], [2]]);
  });

  it('keeps delivering to the others when a station fails', () => {
    lanSwitch.plug(
      {
        receive: () => {
          throw new Error('broken');
        },
      },
      { mac: '02:5a:00:00:00:09' as MacAddress },
    );
    const [a, b] = [plug(one.mac), plug(two.mac)];
    a.socket.send(ipFrame(one, everybody, 1));
    expect(b.numbers()).toEqual([1]);
    expect(lanSwitch.drops.toJSON()).toEqual({ 'station-failed': 1 });
  });

  it(
    `takes ${HOSTILE_FRAMES} hostile frames from a guest and from a real network without an exception, and nothing grows (NR19, B7)`,
    () => {
      const random = new SeededRandom(77);
      const clock = new VirtualClock();
      const guest = new VmPort(one.mac as MacAddress, one.ip as Ipv4Address, clock, new Counters<PortDrop>());
      guest.plugInto(lanSwitch.plug(guest, { mac: one.mac as MacAddress }));
      let toGuest = 0;
      const sink = {
        deliver: () => {
          toGuest++;
        },
      };
      guest.attach(sink);
      const seen = { neighbour: 0, network: 0 };
      lanSwitch.plug(
        {
          receive: () => {
            seen.neighbour++;
          },
        },
        { mac: two.mac as MacAddress },
      );
      const uplink = lanSwitch.plug(
        {
          receive: () => {
            seen.network++;
          },
        },
        { uplink: true },
      );
      for (let count = 0; count < HOSTILE_FRAMES; count++) {
        let frame: Uint8Array = random.chance(0.7)
          ? ipFrame(random.pick([one, two, outside]), random.pick([one, two, outside, everybody]), count)
          : random.bytes(random.below(100));
        for (let damage = random.below(4); damage > 0 && frame.length > 0; damage--) frame[random.below(frame.length)] = random.below(256);
        if (random.chance(0.2)) frame = frame.subarray(0, random.below(frame.length + 1));
        if (random.chance(0.001)) frame = new Uint8Array(MAX_FRAME_BYTES + random.below(60_000));
        if (random.chance(0.5)) guest.send(sink, frame, 'stale-epoch');
        else uplink.send(frame);
        // Now and then in a hold, in which frames for the guest wait within their bounds.
        if (random.chance(0.0002)) guest.hold();
        if (random.chance(0.0002)) guest.release();
        if (count % 100 === 0) clock.setTimeout(() => undefined, 4);
        if (count % 100 === 0) clock.fireNext();
        if (guest.held.frames > MAX_HELD_FRAMES || guest.held.bytes > MAX_HELD_BYTES) expect.fail('More is held than the bounds allow.');
      }
      guest.release();
      while (clock.fireNext());
      expect(guest.held).toEqual({ frames: 0, bytes: 0 });
      for (const passed of [toGuest, seen.neighbour, seen.network]) expect(passed).toBeGreaterThan(HOSTILE_FRAMES / 200);
      // Counted under a closed list of names, nothing learned: an address of a hostile frame is as unknown as before.
      expect(Object.keys(lanSwitch.drops.toJSON()).sort()).toEqual(['claims-local-mac', 'no-such-station', 'oversized', 'runt']);
      expect(Object.keys(guest.drops.toJSON()).length).toBeLessThan(20);
      expect(lanSwitch.knows(outside.mac as MacAddress)).toBe(false);
    },
    FUZZ_LIMIT_MS,
  );

  it('announces to uplinks only', () => {
    const a = plug(one.mac);
    const uplink = recordingStation();
    lanSwitch.plug(uplink, { uplink: true });
    lanSwitch.announce(ipFrame(two, everybody, 1));
    expect([a.numbers(), uplink.received.map(numberOf)]).toEqual([[], [1]]);
  });
});
