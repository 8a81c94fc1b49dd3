import { beforeEach, describe, expect, it } from 'vitest';
import type { MacAddress } from '../shared/ids.ts';
import { MAX_FRAME_BYTES } from './relay-protocol.ts';
import { Switch } from './switch.ts';
import { ipFrame, numberOf, recordingStation } from './testing/relay-harness.ts';

const one = { mac: '02:5a:00:00:00:01', ip: '10.86.0.2' };
const two = { mac: '02:5a:00:00:00:02', ip: '10.86.0.3' };
const everybody = { mac: 'ff:ff:ff:ff:ff:ff', ip: '10.86.0.255' };
const outside = { mac: '52:54:00:12:34:56', ip: '192.0.2.1' };

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
    lanSwitch.plug({ receive: () => { throw new Error('broken'); } }, { mac: '02:5a:00:00:00:09' as MacAddress });
    const [a, b] = [plug(one.mac), plug(two.mac)];
    a.socket.send(ipFrame(one, everybody, 1));
    expect(b.numbers()).toEqual([1]);
    expect(lanSwitch.drops.toJSON()).toEqual({ 'station-failed': 1 });
  });

  it('announces to uplinks only', () => {
    const a = plug(one.mac);
    const uplink = recordingStation();
    lanSwitch.plug(uplink, { uplink: true });
    lanSwitch.announce(ipFrame(two, everybody, 1));
    expect([a.numbers(), uplink.received.map(numberOf)]).toEqual([[], [1]]);
  });
});
