import fc from 'fast-check';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { MacAddress } from '../shared/ids.ts';
import { LARGEST_FRAME_BYTES, VirtioNetworkCard } from './network-card.ts';
import { MachineError } from './machine-error.ts';
import { settled } from './testing/manual-clock.ts';
import { startDevices, type GuestSide } from './testing/real-devices.ts';
import type { V86Instance } from './v86-api.ts';

const QUEUE_SIZE = 16;
const RECEIVE = { descriptors: 0x10000, available: 0x12000, used: 0x13000 };
const SEND = { descriptors: 0x20000, available: 0x22000, used: 0x23000 };
const BUFFERS = 0x100000;
const BUFFER_BYTES = 1530;
const NOTIFY_PORT = 0xc900;
const DRIVER_OK = 15;
const NEXT = 1;
const DEVICE_WRITES = 2;

interface Queue {
  enabled: boolean;
  desc_addr: number;
  avail_addr: number;
  used_addr: number;
  set_size(size: number): void;
}

interface Virtio {
  readonly queues: Queue[];
  device_status: number;
  isr_status: number;
  reset(): void;
}

/** What Linux's virtio_net driver does with the rings, played by the test. */
class Driver {
  posted = 0;
  taken = 0;
  sent = 0;
  private readonly guest: GuestSide;
  private readonly virtio: Virtio;

  constructor(instance: V86Instance, guest: GuestSide) {
    this.guest = guest;
    this.virtio = (instance.v86.cpu.devices.virtio_net as unknown as { virtio: Virtio }).virtio;
  }

  get interrupted(): boolean {
    const was = this.virtio.isr_status !== 0;
    this.virtio.isr_status = 0;
    return was;
  }

  start(): void {
    for (const [index, addresses] of [RECEIVE, SEND].entries()) {
      const queue = this.virtio.queues[index]!;
      queue.set_size(QUEUE_SIZE);
      queue.desc_addr = addresses.descriptors;
      queue.avail_addr = addresses.available;
      queue.used_addr = addresses.used;
      queue.enabled = true;
      this.guest.write_blob(new Uint8Array(0x1000), addresses.available);
      this.guest.write_blob(new Uint8Array(0x1000), addresses.used);
    }
    this.virtio.device_status = DRIVER_OK;
  }

  stop(): void {
    this.virtio.reset();
    this.virtio.device_status = 0;
    this.posted = this.taken = this.sent = 0;
  }

  /** Posts receive buffers, and tells the device. */
  post(count: number, bytes = BUFFER_BYTES): void {
    for (let n = 0; n < count; n++) {
      const slot = this.posted % QUEUE_SIZE;
      this.describe(RECEIVE, slot, BUFFERS + slot * 2048, bytes, DEVICE_WRITES);
      this.makeAvailable(RECEIVE, this.posted++, slot);
    }
    this.guest.io.port_write16(NOTIFY_PORT, 0);
  }

  /** Frames the device has handed over since the last call, without their 12 bytes of header. */
  receive(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    while (this.taken !== this.guest.read16(RECEIVE.used + 2)) {
      const entry = RECEIVE.used + 4 + (this.taken % QUEUE_SIZE) * 8;
      const slot = this.guest.read32s(entry);
      const length = this.guest.read32s(entry + 4);
      const packet = this.guest.read_blob(BUFFERS + slot * 2048, length);
      if (length > 0) {
        expect([...packet.subarray(0, 12)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        frames.push(packet.slice(12));
      }
      this.taken = (this.taken + 1) & 0xffff;
    }
    return frames;
  }

  send(frame: Uint8Array): void {
    const slot = this.sent % (QUEUE_SIZE / 2);
    const at = BUFFERS + 0x40000 + slot * 2048;
    this.guest.write_blob(new Uint8Array(12), at);
    this.guest.write_blob(frame, at + 12);
    this.describe(SEND, slot * 2, at, 12, NEXT, slot * 2 + 1);
    this.describe(SEND, slot * 2 + 1, at + 12, frame.length, 0);
    this.makeAvailable(SEND, this.sent++, slot * 2);
    this.guest.io.port_write16(NOTIFY_PORT + 2, 1);
  }

  private describe(queue: typeof RECEIVE, index: number, address: number, length: number, flags: number, next = 0): void {
    const at = queue.descriptors + index * 16;
    this.guest.write32(at, address);
    this.guest.write32(at + 4, 0);
    this.guest.write32(at + 8, length);
    this.guest.write16(at + 12, flags);
    this.guest.write16(at + 14, next);
  }

  private makeAvailable(queue: typeof RECEIVE, position: number, head: number): void {
    this.guest.write16(queue.available + 4 + (position % QUEUE_SIZE) * 2, head);
    this.guest.write16(queue.available + 2, (position + 1) & 0xffff);
  }
}

function frameOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (seed * 31 + at) & 0xff);
}

describe("VirtioNetworkCard on v86's virtio_net", () => {
  let instance: V86Instance;
  let guest: GuestSide;
  let driver: Driver;
  let card: VirtioNetworkCard;

  beforeAll(async () => {
    ({ instance, guest } = await startDevices());
    driver = new Driver(instance, guest);
  });

  beforeEach(() => {
    driver.stop();
    card = new VirtioNetworkCard(instance.bus, instance.v86.cpu.devices.virtio_net);
    return () => card.dispose();
  });

  it('takes no frame before the driver is up, while the machine is stopped, or without a receive buffer', () => {
    const frame = frameOf(60, 1);
    const low = guest.read_blob(0, 4096).slice();
    card.setRunning(true);
    expect(card.deliver(frame)).toBe(false);
    driver.start();
    expect(card.deliver(frame)).toBe(false);
    driver.post(1);
    card.setRunning(false);
    expect(card.deliver(frame)).toBe(false);
    card.setRunning(true);
    expect(card.deliver(frame)).toBe(true);
    expect(card.deliver(frame)).toBe(false);
    expect(guest.read_blob(0, 4096)).toEqual(low);
  });

  it('loses, reorders and repeats nothing, whatever the order of frames, buffers, pauses and turns', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('frame' as const), length: fc.integer({ min: 14, max: LARGEST_FRAME_BYTES }) }),
      fc.record({ kind: fc.constant('post' as const), count: fc.integer({ min: 1, max: 6 }) }),
      fc.record({ kind: fc.constant('run' as const), running: fc.boolean() }),
      fc.record({ kind: fc.constant('turn' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        driver.stop();
        driver.start();
        card.setRunning(true);
        const queue: Uint8Array[] = [];
        const sent: Uint8Array[] = [];
        const received: Uint8Array[] = [];
        const pump = (): void => {
          while (queue.length > 0 && card.deliver(queue[0]!)) queue.shift();
        };
        const listening = card.onReady(pump);
        for (const each of steps) {
          if (each.kind === 'frame') {
            const frame = frameOf(each.length, sent.length);
            sent.push(frame);
            queue.push(frame);
            pump();
          } else if (each.kind === 'post') {
            const free = QUEUE_SIZE - (driver.posted - driver.taken);
            driver.post(Math.min(each.count, free));
          } else if (each.kind === 'run') card.setRunning(each.running);
          else {
            await settled();
            received.push(...driver.receive());
          }
        }
        card.setRunning(true);
        while (received.length < sent.length) {
          await settled();
          received.push(...driver.receive());
          driver.post(QUEUE_SIZE - (driver.posted - driver.taken));
        }
        listening.dispose();
        expect(received.map((frame) => Buffer.from(frame).toString('hex'))).toEqual(sent.map((frame) => Buffer.from(frame).toString('hex')));
      }),
      { numRuns: 100 },
    );
  });

  it("says that it is ready when buffers are posted after a refusal, and not inside the guest's instruction", async () => {
    driver.start();
    card.setRunning(true);
    let ready = 0;
    card.onReady(() => ready++);
    driver.post(1);
    await settled();
    expect(ready).toBe(0);
    expect(card.deliver(frameOf(60, 1))).toBe(true);
    expect(card.deliver(frameOf(60, 2))).toBe(false);
    driver.post(1);
    expect(ready).toBe(0);
    await settled();
    expect(ready).toBe(1);
  });

  it('says that it is ready when a stopped machine runs again', async () => {
    driver.start();
    driver.post(2);
    let ready = 0;
    card.onReady(() => ready++);
    expect(card.deliver(frameOf(60, 1))).toBe(false);
    card.setRunning(true);
    await settled();
    expect(ready).toBe(1);
  });

  it('hands over the frames of one turn with one interrupt', async () => {
    driver.start();
    driver.post(8);
    card.setRunning(true);
    for (let n = 0; n < 8; n++) expect(card.deliver(frameOf(100, n))).toBe(true);
    expect(driver.interrupted).toBe(false);
    expect(driver.receive()).toHaveLength(0);
    await settled();
    expect(driver.interrupted).toBe(true);
    expect(driver.receive()).toHaveLength(8);
  });

  it('hands over what it has accepted when the machine is stopped in the same turn', () => {
    driver.start();
    driver.post(1);
    card.setRunning(true);
    expect(card.deliver(frameOf(100, 3))).toBe(true);
    card.setRunning(false);
    expect(driver.receive()).toEqual([frameOf(100, 3)]);
  });

  it('drops what no buffer can hold, so that the frames behind it come through, and counts it', async () => {
    driver.start();
    driver.post(1, 64);
    driver.post(1);
    card.setRunning(true);
    expect(card.deliver(frameOf(LARGEST_FRAME_BYTES + 1, 1))).toBe(true);
    expect(card.deliver(frameOf(100, 2))).toBe(true);
    expect(card.deliver(frameOf(101, 3))).toBe(true);
    await settled();
    expect(driver.receive()).toEqual([frameOf(101, 3)]);
    expect(card.figures).toEqual({ framesToGuest: 1, framesFromGuest: 0, oversized: 2 });
  });

  it("gives out the guest's frames, as arrays of their own, without the header", () => {
    driver.start();
    const frames: Uint8Array[] = [];
    card.onFrame((frame) => frames.push(frame));
    driver.send(frameOf(60, 1));
    driver.send(frameOf(1514, 2));
    expect(frames).toEqual([frameOf(60, 1), frameOf(1514, 2)]);
  });

  it('survives a guest that restarts its driver', async () => {
    driver.start();
    driver.post(1);
    card.setRunning(true);
    card.deliver(frameOf(60, 1));
    driver.stop();
    await settled();
    expect(card.deliver(frameOf(60, 2))).toBe(false);
    driver.start();
    let ready = 0;
    card.onReady(() => ready++);
    driver.post(1);
    await settled();
    expect(ready).toBe(1);
    expect(card.deliver(frameOf(60, 3))).toBe(true);
    await settled();
    expect(driver.receive()).toEqual([frameOf(60, 3)]);
  });

  it('takes its address until the driver loads, and says so when it is too late', () => {
    const mac = '02:5a:00:00:00:2a' as MacAddress;
    card.setMac(mac);
    expect(card.mac).toBe(mac);
    expect([0, 1, 2, 3, 4, 5].map((offset) => guest.io.port_read8(0xc600 + offset))).toEqual([0x02, 0x5a, 0, 0, 0, 0x2a]);
    driver.start();
    card.setMac(mac);
    expect(() => card.setMac('02:5a:00:00:00:2b' as MacAddress)).toThrow(MachineError);
    expect(() => card.setMac('02:5a:00:00:00:2b' as MacAddress)).toThrow(/too late/);
  });

  it('leaves nothing behind on v86 when it is disposed', () => {
    driver.start();
    const frames: Uint8Array[] = [];
    card.onFrame((frame) => frames.push(frame));
    let ready = 0;
    card.onReady(() => ready++);
    card.dispose();
    driver.send(frameOf(60, 1));
    driver.post(1);
    expect(frames).toEqual([]);
    expect(ready).toBe(0);
    expect(card.deliver(frameOf(60, 1))).toBe(false);
  });

  it('refuses a v86 whose card is another one', () => {
    expect(() => new VirtioNetworkCard(instance.bus, { mac: new Uint8Array(6), virtio: { device_status: 0, queues: [], pci_bars: [] } })).toThrow(
      /another virtio network card/,
    );
  });
});
