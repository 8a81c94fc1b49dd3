/**
 * The guest's virtio network card. Frames for the guest go straight into the receive buffers its driver has posted,
 * and no frame is accepted without a buffer: v86's own "net0-receive" drops such frames, and writes into low memory
 * while no driver is there. The buffers filled in one task are handed over together, with one interrupt.
 */
import { disposable, type Disposable } from '../shared/disposable.ts';
import { Emitter } from '../shared/emitter.ts';
import { hex } from '../shared/hex.ts';
import type { MacAddress } from '../shared/ids.ts';
import type { NetworkCard } from './machine.ts';
import { MachineError } from './machine-error.ts';
import type { BusLike } from './v86-bus.ts';

/** Largest frame for the guest: 14 header + 1500 payload + 4 for a VLAN tag; the driver's buffers hold no more. */
export const LARGEST_FRAME_BYTES = 1518;
/** struct virtio_net_hdr as of virtio 1.0 (section 5.1.6): 10 bytes of offload fields, then the buffer count. */
const HEADER_BYTES = 12;
const HEADER_BUFFER_COUNT_AT = 10;
/** Bits of the virtio device status. */
const STATUS_DRIVER = 2;
const STATUS_DRIVER_OK = 4;
const RECEIVE_QUEUE = 0;
/** The notification area's place among the device's PCI regions, and the receive queue's port in it. */
const NOTIFY_BAR = 1;
const NOTIFY_RECEIVE = 0;

interface BufferChainLike {
  readonly length_writable: number;
  set_next_blob(data: Uint8Array): number;
}

export interface VirtQueueLike {
  readonly enabled: boolean;
  count_requests(): number;
  pop_request(): BufferChainLike;
  push_reply(chain: BufferChainLike): void;
  flush_replies(): void;
}

interface PortEntryLike {
  write16: (value: number) => void;
}

/** The members of v86's virtio_net device used here; see v86-api.ts for the pinned version. */
export interface VirtioNetLike {
  mac: Uint8Array;
  readonly virtio: {
    readonly device_status: number;
    readonly queues: readonly VirtQueueLike[];
    readonly pci_bars: readonly { readonly entries: readonly PortEntryLike[] }[];
  };
}

export interface NetworkCardFigures {
  readonly framesToGuest: number;
  readonly framesFromGuest: number;
  /** Frames no receive buffer could ever hold; they are dropped. */
  readonly oversized: number;
}

export class VirtioNetworkCard implements NetworkCard, Disposable {
  private readonly device: VirtioNetLike;
  private readonly receive: VirtQueueLike;
  private readonly frames = new Emitter<Uint8Array>();
  private readonly ready = new Emitter<undefined>();
  private readonly scratch = new Uint8Array(HEADER_BYTES + LARGEST_FRAME_BYTES);
  private readonly unhook: Disposable;
  private running = false;
  /** A frame was refused since onReady's listeners were last called. */
  private refused = false;
  private announcing = false;
  private unflushed = false;
  private toGuest = 0;
  private fromGuest = 0;
  private oversized = 0;

  /** The machine counts as stopped until setRunning(true). Throws MachineError 'emulator-changed'. */
  constructor(bus: BusLike, device: VirtioNetLike) {
    const receive = device.virtio.queues[RECEIVE_QUEUE];
    const notify = device.virtio.pci_bars[NOTIFY_BAR]?.entries[NOTIFY_RECEIVE];
    if (receive === undefined || notify === undefined || typeof notify.write16 !== 'function') {
      throw new MachineError(
        'emulator-changed',
        'This v86 has another virtio network card than the one the bridge knows. Install the v86 version of package.json.',
      );
    }
    this.device = device;
    this.receive = receive;
    this.scratch[HEADER_BUFFER_COUNT_AT] = 1;
    const send = (frame: Uint8Array): void => this.sent(frame);
    bus.register('net0-send', send, undefined);
    // The driver writes to this port whenever it posts receive buffers; v86 itself does nothing then. When the guest
    // moves the region, the port keeps the same entry object.
    const original = notify.write16;
    notify.write16 = (value: number): void => {
      original.call(device.virtio, value);
      this.announce();
    };
    this.unhook = disposable(() => {
      bus.unregister('net0-send', send);
      notify.write16 = original;
    });
  }

  get mac(): MacAddress {
    return hex(this.device.mac, ':') as MacAddress;
  }

  /** Throws MachineError 'mac-too-late' when the guest's driver already has another address. */
  setMac(mac: MacAddress): void {
    if (mac === this.mac) return;
    if ((this.device.virtio.device_status & STATUS_DRIVER) !== 0) {
      throw new MachineError(
        'mac-too-late',
        `The guest's network driver already uses ${this.mac}; ${mac} would be set too late. Set the address before the driver loads.`,
      );
    }
    // v86 keeps this array in its device state.
    this.device.mac = Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16));
  }

  onFrame(listener: (frame: Uint8Array) => void): Disposable {
    return this.frames.on(listener);
  }

  onReady(listener: () => void): Disposable {
    return this.ready.on(listener);
  }

  deliver(frame: Uint8Array): boolean {
    if (frame.length > LARGEST_FRAME_BYTES) {
      // Keeping it would block every frame behind it.
      this.oversized++;
      return true;
    }
    if (!this.running || !this.driverUp || this.receive.count_requests() === 0) {
      this.refused = true;
      return false;
    }
    const chain = this.receive.pop_request();
    const packet = this.scratch.subarray(0, HEADER_BYTES + frame.length);
    packet.set(frame, HEADER_BYTES);
    if (chain.length_writable >= packet.length) {
      chain.set_next_blob(packet);
      this.toGuest++;
    } else {
      // An empty buffer goes back; the driver drops it as a runt.
      this.oversized++;
    }
    this.receive.push_reply(chain);
    if (!this.unflushed) {
      this.unflushed = true;
      queueMicrotask(() => this.flush());
    }
    return true;
  }

  /** Receive buffers the guest's driver has posted; 0 while it is not up. */
  get room(): number {
    return this.running && this.driverUp ? this.receive.count_requests() : 0;
  }

  /** The driver is up: the guest can take and send frames. */
  get driverUp(): boolean {
    return (this.device.virtio.device_status & STATUS_DRIVER_OK) !== 0 && this.receive.enabled;
  }

  get figures(): NetworkCardFigures {
    return { framesToGuest: this.toGuest, framesFromGuest: this.fromGuest, oversized: this.oversized };
  }

  /** The machine's owner says whether the CPU runs: a stopped machine gets no frame. */
  setRunning(running: boolean): void {
    if (!running) this.flush();
    this.running = running;
    if (running) this.announce();
  }

  dispose(): void {
    this.running = false;
    this.unhook.dispose();
    this.frames.dispose();
    this.ready.dispose();
  }

  private sent(frame: Uint8Array): void {
    this.fromGuest++;
    try {
      this.frames.emit(frame);
    } catch (error) {
      // Thrown here, it would unwind the guest's CPU in the middle of an instruction.
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  /** Makes the filled buffers visible to the driver and raises one interrupt for all of them. */
  private flush(): void {
    if (!this.unflushed) return;
    this.unflushed = false;
    if (this.receive.enabled) this.receive.flush_replies();
  }

  /** Runs in a microtask: never inside the instruction with which the guest posted its buffers. */
  private announce(): void {
    if (!this.refused || this.announcing) return;
    this.announcing = true;
    queueMicrotask(() => {
      this.announcing = false;
      if (!this.refused || this.room === 0) return;
      this.refused = false;
      this.ready.emit(undefined);
    });
  }
}
