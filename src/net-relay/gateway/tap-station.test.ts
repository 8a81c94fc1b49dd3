/** The TAP station on a room's switch, with the Linux kernel of a network namespace behind it. */
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { describe, expect, it } from 'vitest';
import { disposable } from '../../shared/disposable.ts';
import { GATEWAY_IP, GATEWAY_MAC, LAN_NETMASK } from '../lan/lan.ts';
import { Switch } from '../lan/switch.ts';
import { systemClock } from '../../shared/system-clock.ts';
import { formatIpv4Address, formatMacAddress } from './address.ts';
import { createGateway, type Gateway } from './gateway.ts';
import { createTapStation } from './tap-station.ts';
import { FrameGuest } from './testing/frame-guest.ts';
import { GATEWAY_ADDRESS, GATEWAY_MAC_NUMBER } from './testing/gateway-world.ts';
import { answeredPings, createKernelGuest, kernelGuestSkipReason } from './testing/kernel-guest.ts';
import { sha256 } from './testing/kernel-lan.ts';
import { noise, TestApplication } from './testing/tcp-host.ts';

const reason = kernelGuestSkipReason(['ping']);

describe.skipIf(reason !== null)(`a TAP device on the room's switch${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  it("lets the machine's own programs reach a guest and the gateway by IP (GW61)", async () => {
    const lanSwitch = new Switch();
    const machine = await createKernelGuest((frame) => uplink.send(frame));
    const uplink = lanSwitch.plug(machine.station, { uplink: true });
    // The guest answers ARP itself, as a real guest does.
    const guest: FrameGuest = new FrameGuest({
      mac: 0x025a00000007,
      ip: GATEWAY_ADDRESS + 6,
      gatewayMac: GATEWAY_MAC_NUMBER,
      clock: systemClock,
      resolve: (ip) => guest.learned.get(ip) ?? GATEWAY_MAC_NUMBER,
      send: (frame) => guestSocket.send(frame),
    });
    const guestSocket = lanSwitch.plug(guest, { mac: formatMacAddress(guest.mac) });
    const gateway: Gateway = createGateway({
      mac: GATEWAY_MAC,
      ip: GATEWAY_IP,
      netmask: LAN_NETMASK,
      clock: systemClock,
      learnNeighbours: true,
      leases: { all: () => [guest.lease('g', 'g')], onChange: () => disposable(() => undefined) },
      send: (frame) => gatewaySocket.send(frame),
    });
    const gatewaySocket = lanSwitch.plug(gateway, { mac: GATEWAY_MAC });
    try {
      guest.services.set(80, () => new TestApplication(noise(1, 1_000_000), true));
      for (const address of [formatIpv4Address(guest.ip), GATEWAY_IP]) {
        const ping = await machine.run('ping', '-c', '31', '-i', '0.01', address);
        expect(answeredPings(ping.stdout).slice(0, 30)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
        expect(ping.stdout).not.toContain('DUP!');
      }
      const download = await machine.shell(`socat -u TCP:${formatIpv4Address(guest.ip)}:80 - | sha256sum`);
      expect(download.stdout.slice(0, 64)).toBe(sha256(noise(1, 1_000_000)));
      const refused = await machine.shell(`socat -u TCP:${formatIpv4Address(guest.ip)}:81 - ; true`);
      expect(refused.stderr).toContain('Connection refused');
      expect(gateway.stats()['unknown-sender']).toBe(undefined);
    } finally {
      await gateway.dispose();
      await machine.dispose();
    }
  });

  it('is gone with its station, and refuses datagrams of strangers (GW62)', async () => {
    const frames: Uint8Array[] = [];
    const station = await createTapStation({ send: (frame) => void frames.push(frame), device: `tm${process.pid}s`, address: null, spawn: true });
    const target = /UDP4:127\.0\.0\.1:(\d+)/.exec(station.command.join(' '))?.[1];
    const stranger = createSocket('udp4');
    await new Promise((resolve) => stranger.send(new Uint8Array(60), Number(target), '127.0.0.1', resolve));
    while (station.stats().foreign === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    stranger.close();
    expect(frames).toEqual([]);
    await station.dispose();
    expect(spawnSync('ip', ['link', 'show', `tm${process.pid}s`]).status).not.toBe(0);
  });

  it('says what is missing when the device cannot be made (GW62)', async () => {
    const options = { send: () => undefined, spawn: true, address: null };
    await expect(createTapStation({ ...options, device: 'a-name-longer-than-fifteen' })).rejects.toThrow(/no name for a network device/);
    const device = `tm${process.pid}f`;
    const first = await createTapStation({ ...options, device });
    await expect(createTapStation({ ...options, device })).rejects.toThrow(/could not be made; it needs Linux and root. socat said.*busy/s);
    await first.dispose();
  });
});
