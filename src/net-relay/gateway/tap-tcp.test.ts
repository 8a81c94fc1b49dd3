/**
 * Our TCP as a guest's neighbour would meet it: a machine of a real network (the Linux kernel behind a TAP device, the
 * uplink of the switch) talks to a guest whose TCP is ours (B4, TAP side). `kernel.test.ts` has the other side: the
 * kernel as the guest, our gateway as its peer.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../migration/testing/seeded-random.ts';
import { GATEWAY_MAC } from '../lan/lan.ts';
import { Switch } from '../lan/switch.ts';
import { systemClock } from '../../shared/system-clock.ts';
import { formatIpv4Address, formatMacAddress } from './address.ts';
import { FrameGuest } from './testing/frame-guest.ts';
import { GATEWAY_ADDRESS, GATEWAY_MAC_NUMBER } from './testing/gateway-world.ts';
import { createKernelGuest, kernelGuestSkipReason, KERNEL_IP, type KernelGuest } from './testing/kernel-guest.ts';
import { sha256 } from './testing/kernel-lan.ts';
import { CLIENT, DOWNLOAD, MANY_ECHOES, SINK_SERVER, UPLOAD } from './testing/kernel-programs.ts';
import { impaired, LossyWire, type Impairment } from './testing/lossy-wire.ts';
import { watchRefusals } from './testing/closed-ports.ts';
import { noise, TestApplication } from './testing/tcp-host.ts';

const reason = kernelGuestSkipReason();
const MEGABYTE = 1_000_000;
const DIRECT: Impairment = { drop: 0, duplicate: 0, reorder: 0, delayMs: 0, reorderMs: 0 };

/** Takes everything until the other side ends, then answers with its length and SHA-256, and ends. */
class Sink extends TestApplication {
  private answered = false;

  constructor() {
    super(new Uint8Array(0), true);
  }

  override onEstablished(): void {
    this.established = true;
  }

  override onReadable(): void {
    this.readAll();
    if (!this.ended || this.answered) return;
    this.answered = true;
    this.send(Buffer.from(`${this.receivedBytes} ${sha256(Buffer.concat(this.received))}`));
  }

  override onWritable(): void {
    if (this.answered) super.onWritable();
  }
}

/** Sends back what comes, and ends when the other side has ended. For a few thousand bytes: it trusts the send buffer. */
class Echo extends TestApplication {
  constructor() {
    super(new Uint8Array(0), false);
  }

  override onReadable(): void {
    this.readAll();
    for (const part of this.received.splice(0)) if (this.connection?.write(part) !== part.length) throw new Error('more than a send buffer at once');
    if (this.ended) this.connection?.shutdown();
  }
}

describe.skipIf(reason !== null)(`our TCP and the Linux kernel of a real network${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  const lanSwitch = new Switch();
  const random = new SeededRandom(20_260_202);
  const opened: TestApplication[] = [];
  let machine: KernelGuest;
  let guest: FrameGuest;
  let wires: readonly LossyWire[];
  const impair = (impairment: Impairment): void => {
    for (const wire of wires) wire.impairment = impairment;
  };
  const guestIp = formatIpv4Address(GATEWAY_ADDRESS + 6);
  const node = (program: string, ...args: (string | number)[]): [string, ...string[]] => [process.execPath, '-e', program, ...args.map(String)];

  beforeAll(async () => {
    const fromMachine = new LossyWire(systemClock, random, DIRECT, (frame) => uplink.send(frame));
    machine = await createKernelGuest((frame) => fromMachine.send(frame));
    const toMachine = new LossyWire(systemClock, random, DIRECT, (frame) => machine.station.receive(frame));
    const uplink = lanSwitch.plug({ receive: (frame) => toMachine.send(frame) }, { uplink: true });
    wires = [fromMachine, toMachine];
    // The guest answers ARP itself, as a real guest does, and learns the machine's MAC from it.
    guest = new FrameGuest({
      mac: 0x025a00000007,
      ip: GATEWAY_ADDRESS + 6,
      gatewayMac: GATEWAY_MAC_NUMBER,
      clock: systemClock,
      resolve: (ip) => guest.learned.get(ip) ?? GATEWAY_MAC_NUMBER,
      send: (frame) => guestSocket.send(frame),
    });
    const guestSocket = lanSwitch.plug(guest, { mac: formatMacAddress(guest.mac) });
    lanSwitch.plug({ receive: () => undefined }, { mac: GATEWAY_MAC });
    const serve = (port: number, make: () => TestApplication): void => {
      guest.services.set(port, () => {
        const application = make();
        opened.push(application);
        return application;
      });
    };
    serve(7, () => new Echo());
    serve(9, () => new Sink());
    serve(10, () => new TestApplication(noise(1, 10 * MEGABYTE), true));
    serve(50, () => new TestApplication(noise(5, 50 * MEGABYTE), true));
    const sink = machine.start(...node(SINK_SERVER, 9));
    await new Promise((resolve) => sink.stdout?.once('data', resolve));
    // A machine that speaks first asks by ARP: from then on the guest knows its MAC.
    await machine.run(...node(CLIENT, guestIp, 7, 'hello'));
  });

  afterAll(() => machine.dispose());

  beforeEach(() => {
    // Nobody looks at them here, and 50 MB are many frames.
    guest.frames.length = 0;
    guest.packets.length = 0;
    opened.length = 0;
  });

  it('50 MB go each way, bit by bit (B4, GW61)', async () => {
    expect((await machine.run(...node(DOWNLOAD, guestIp, 50))).stdout).toBe(`${50 * MEGABYTE} ${sha256(noise(5, 50 * MEGABYTE))}`);
    expect((await machine.run(...node(UPLOAD, guestIp, 9, 50 * MEGABYTE, 6))).stdout).toBe(`${50 * MEGABYTE} ${sha256(noise(6, 50 * MEGABYTE))}`);
  });

  for (const percent of [1, 5]) {
    it(`10 MB each way at once survive ${percent} % of frames lost, doubled and reordered (B4, GW24)`, async () => {
      const before = wires.map(({ counts }) => ({ ...counts }));
      impair({ ...impaired(percent / 100), delayMs: 0, reorderMs: 2 });
      try {
        const [came, went] = await Promise.all([machine.run(...node(DOWNLOAD, guestIp, 10)), machine.run(...node(UPLOAD, guestIp, 9, 10 * MEGABYTE, 7))]);
        expect(came.stdout).toBe(`${10 * MEGABYTE} ${sha256(noise(1, 10 * MEGABYTE))}`);
        expect(went.stdout).toBe(`${10 * MEGABYTE} ${sha256(noise(7, 10 * MEGABYTE))}`);
      } finally {
        impair(DIRECT);
      }
      // The wire did what it was told to, both ways.
      for (const [index, { counts }] of wires.entries()) {
        for (const name of ['dropped', 'duplicated', 'reordered'] as const) expect(counts[name] - (before[index]?.[name] ?? 0)).toBeGreaterThan(0);
      }
    });
  }

  it('a closed port is refused at once, whichever side asks (B4, GW22)', async () => {
    const theirs = watchRefusals(wires, 4444);
    expect((await machine.run(...node(CLIENT, guestIp, 4444, ''))).stdout).toBe('ECONNREFUSED');
    expect(theirs.asked).toBeGreaterThan(0);
    expect(theirs.refused).toBe(theirs.asked);
    const ours = watchRefusals(wires, 4444);
    const application = new TestApplication(new Uint8Array(0), false);
    guest.connect(parseIp(KERNEL_IP), 4444, application);
    while (application.closed === null) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(application.closed).toBe('refused');
    expect(ours.asked).toBeGreaterThan(0);
    await expect.poll(() => ours.refused).toBe(ours.asked);
  });

  it('a connection that our side opens carries 10 MB into the kernel, and its answer back over the other half (B4, GW23)', async () => {
    const application = new TestApplication(noise(8, 10 * MEGABYTE), true);
    guest.connect(parseIp(KERNEL_IP), 9, application);
    while (!application.ended) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(Buffer.concat(application.received).toString()).toBe(`${10 * MEGABYTE} ${sha256(noise(8, 10 * MEGABYTE))}`);
  });

  it('half a close passes, and the answer still comes (B4, GW23)', async () => {
    // The client ends its half after its data; only then does the server write the echo and end.
    expect((await machine.run(...node(UPLOAD, guestIp, 9, 5, 3))).stdout).toBe(`5 ${sha256(noise(3, 5))}`);
    expect((await machine.run(...node(CLIENT, guestIp, 7, 'what I said'))).stdout).toBe('what I said');
    expect(opened.map(({ closed }) => closed ?? 'done')).toEqual(['done', 'done']);
  });

  it('500 connections are open at once, and each carries its own bytes (B4, GW35)', async () => {
    expect((await machine.run(...node(MANY_ECHOES, guestIp, 7, 500))).stdout).toBe('open 500 right 500');
    expect(opened).toHaveLength(500);
  });
});

function parseIp(text: string): number {
  return text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
}
