/**
 * The output path: a frame is built once, in place (Ethernet and IP headers in front of what the caller fills in), and
 * handed to the switch. It is never modified after that.
 */
import type { GatewayCounters } from './gateway-counters.ts';
import { ETHERNET_HEADER_BYTES, EtherType, MTU, writeEthernetHeader } from './ethernet.ts';
import { FLAG_DONT_FRAGMENT, FLAG_MORE_FRAGMENTS, IPV4_HEADER_BYTES, writeIpv4Header } from './ipv4.ts';

/** Where an IP packet's payload starts in a frame. */
export const PAYLOAD_AT = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
/** Frames are cut from slabs of this size: one allocation for some 40 full frames. */
const SLAB_BYTES = 64 * 1024;
/** Payload of a fragment: a multiple of 8. */
const FRAGMENT_BYTES = (MTU - IPV4_HEADER_BYTES) & ~7;

export class PacketOutput {
  private readonly mac: number;
  private readonly deliver: (frame: Uint8Array) => void;
  private readonly resolve: (ip: number) => number | null;
  private readonly counters: GatewayCounters;
  private slab = new ArrayBuffer(SLAB_BYTES);
  private slabUsed = 0;
  private nextId: number;

  /** `resolve`: the MAC address of an IP address on the LAN, or null. */
  constructor(mac: number, deliver: (frame: Uint8Array) => void, resolve: (ip: number) => number | null, counters: GatewayCounters, firstId: number) {
    this.mac = mac;
    this.deliver = deliver;
    this.resolve = resolve;
    this.counters = counters;
    this.nextId = firstId & 0xffff;
  }

  /**
   * Builds and sends one packet of at most an MTU. `fill` writes `payloadBytes` at PAYLOAD_AT, through `frame` or
   * `view`, which share the same memory.
   */
  sendIpv4(
    source: number,
    destination: number,
    protocol: number,
    payloadBytes: number,
    fill: (frame: Uint8Array, view: DataView) => void,
    flagsAndOffset = FLAG_DONT_FRAGMENT,
    id = 0,
  ): void {
    const mac = this.resolve(destination);
    if (mac === null) {
      this.counters.add('ipv4-unroutable');
      return;
    }
    const length = PAYLOAD_AT + payloadBytes;
    if (this.slabUsed + length > SLAB_BYTES) {
      this.slab = new ArrayBuffer(SLAB_BYTES);
      this.slabUsed = 0;
    }
    const start = this.slabUsed;
    // Kept at multiples of 8: aligned words are read fastest.
    this.slabUsed += (length + 7) & ~7;
    const frame = new Uint8Array(this.slab, start, length);
    const view = new DataView(this.slab, start, length);
    fill(frame, view);
    writeIpv4Header(view, ETHERNET_HEADER_BYTES, { source, destination, protocol, id, flagsAndOffset }, payloadBytes);
    writeEthernetHeader(view, mac, this.mac, EtherType.ipv4);
    this.send(frame);
  }

  /** Sends a whole datagram, in fragments if it is longer than an MTU. */
  sendDatagram(source: number, destination: number, protocol: number, payload: Uint8Array): void {
    if (payload.length <= MTU - IPV4_HEADER_BYTES) {
      this.sendIpv4(source, destination, protocol, payload.length, (frame) => frame.set(payload, PAYLOAD_AT));
      return;
    }
    const id = this.nextId;
    this.nextId = (id + 1) & 0xffff;
    for (let offset = 0; offset < payload.length; offset += FRAGMENT_BYTES) {
      const piece = payload.subarray(offset, offset + FRAGMENT_BYTES);
      const flags = (offset + piece.length < payload.length ? FLAG_MORE_FRAGMENTS : 0) | (offset >> 3);
      this.sendIpv4(source, destination, protocol, piece.length, (frame) => frame.set(piece, PAYLOAD_AT), flags, id);
    }
  }

  /** Hands over a frame the caller made. */
  send(frame: Uint8Array): void {
    this.counters.add('frames-out');
    this.counters.add('bytes-out', frame.length);
    this.deliver(frame);
  }
}
