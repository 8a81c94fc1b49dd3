import { describe, expect, it } from 'vitest';
import { disposable } from '../../shared/disposable.ts';
import type { MacAddress, RoomName } from '../../shared/ids.ts';
import type { Lan } from '../lan/lan.ts';
import { Switch } from '../lan/switch.ts';
import { parsePcap } from './capture.ts';
import { plugCapture, plugTap } from './room-stations.ts';
import { noise } from './testing/tcp-host.ts';

function lan(): { lan: Lan; lanSwitch: Switch } {
  const lanSwitch = new Switch();
  return {
    lanSwitch,
    lan: {
      room: 'default' as RoomName,
      plug: (station, place) => lanSwitch.plug(station, place),
      vms: () => [],
      onVms: () => disposable(() => undefined),
      onLeft: () => disposable(() => undefined),
      reportPing: () => undefined,
      setForwards: () => undefined,
    },
  };
}

describe('stations of a room', () => {
  it('a capture sees every frame on the switch, and none once it is unplugged (GW60)', () => {
    const { lan: room, lanSwitch } = lan();
    const plugged = plugCapture(room, { wallClock: () => 0, bytes: 10_000 });
    const socket = lanSwitch.plug({ receive: () => undefined }, { mac: '02:5a:00:00:00:02' as MacAddress });
    const frame = noise(1, 100);
    frame.set([2, 0x5a, 0, 0, 0, 9, 2, 0x5a, 0, 0, 0, 2]);
    socket.send(frame);
    expect(parsePcap(Buffer.concat(plugged.capture.toPcap().pieces))?.map((captured) => [...captured.frame])).toEqual([[...frame]]);
    plugged.dispose();
    socket.send(frame);
    expect(plugged.capture.frames.held).toBe(0);
  });

  it('a TAP device that cannot be made is said in the log, and the room goes on (GW62)', async () => {
    const { lan: room, lanSwitch } = lan();
    const said = await new Promise<string>((resolve) => {
      plugTap(room, { device: 'far too long for a device', address: null, spawn: true, log: resolve });
    });
    expect(said).toMatch(/no name for a network device/);
    expect(lanSwitch.hasUplink).toBe(true);
  });

  it('without root the line that makes the device is handed to a person (GW62)', async () => {
    const { lan: room, lanSwitch } = lan();
    let tap = disposable(() => undefined);
    const command = await new Promise<readonly string[]>((resolve) => {
      tap = plugTap(room, { device: 'tabmotion0', address: '10.86.0.254/24', spawn: false, onCommand: resolve });
    });
    expect(command.join(' ')).toMatch(
      /^socat -b 2048 TUN:10\.86\.0\.254\/24,tun-type=tap,tun-name=tabmotion0,iff-no-pi,iff-up UDP4:127\.0\.0\.1:\d+,bind=127\.0\.0\.1:\d+,/,
    );
    tap.dispose();
    expect(lanSwitch.hasUplink).toBe(false);
  });
});
