/**
 * The Ethernet switch of one room. The relay assigned every MAC, so its table is exact and nothing is learned: a frame
 * goes to the station at its destination, to everybody when it is for a group, and to the uplinks (a real network) when
 * nobody here has that address.
 */
import { disposable } from '../../shared/disposable.ts';
import type { MacAddress } from '../../shared/ids.ts';
import { Counters } from '../../shared/counters.ts';
import { parseMac } from './frame-guard.ts';
import type { StationPlace } from './lan.ts';
import { MAX_FRAME_BYTES } from '../protocol/relay-protocol.ts';
import type { Station, StationSocket } from './station.ts';

export type SwitchDrop = 'runt' | 'oversized' | 'no-such-station' | 'station-failed' | 'claims-local-mac';

const HEADER_BYTES = 14;

interface Plug {
  readonly station: Station;
  readonly mac: number | null;
  readonly kind: 'fixed' | 'uplink' | 'copy';
}

/** The six bytes from `at` as one number: a key that costs nothing to make. */
function macAt(frame: Uint8Array, at: number): number {
  const high = ((frame[at] ?? 0) << 16) | ((frame[at + 1] ?? 0) << 8) | (frame[at + 2] ?? 0);
  const low = ((frame[at + 3] ?? 0) << 16) | ((frame[at + 4] ?? 0) << 8) | (frame[at + 5] ?? 0);
  return high * 0x1000000 + low;
}

export class Switch {
  readonly drops = new Counters<SwitchDrop>();
  private readonly byMac = new Map<number, Plug>();
  private readonly uplinks = new Set<Plug>();
  private readonly copies = new Set<Plug>();

  /** Plugs a station in. Throws if its MAC is taken. */
  plug(station: Station, place: StationPlace): StationSocket {
    const plug: Plug =
      'mac' in place ? { station, mac: macAt(parseMac(place.mac), 0), kind: 'fixed' } : { station, mac: null, kind: 'uplink' in place ? 'uplink' : 'copy' };
    if (plug.mac !== null) {
      if (this.byMac.has(plug.mac)) throw new Error(`The address ${'mac' in place ? place.mac : ''} is plugged in already`);
      this.byMac.set(plug.mac, plug);
    } else {
      (plug.kind === 'uplink' ? this.uplinks : this.copies).add(plug);
    }
    const socket = disposable(() => {
      if (plug.mac !== null) this.byMac.delete(plug.mac);
      this.uplinks.delete(plug);
      this.copies.delete(plug);
    });
    return { send: (frame) => this.forward(frame, plug), dispose: () => socket.dispose() };
  }

  /** Sends a frame to the real networks only, e.g. to say where a moved machine is now: the table here needs no update. */
  announce(frame: Uint8Array): void {
    for (const uplink of this.uplinks) this.deliver(uplink, frame);
    for (const copy of this.copies) this.deliver(copy, frame);
  }

  get hasUplink(): boolean {
    return this.uplinks.size > 0;
  }

  /** True for an address of a machine on this switch. */
  knows(mac: MacAddress): boolean {
    return this.byMac.has(macAt(parseMac(mac), 0));
  }

  private forward(frame: Uint8Array, from: Plug): void {
    if (from.kind === 'copy') return;
    if (frame.length < HEADER_BYTES) {
      this.drops.add('runt');
      return;
    }
    if (frame.length > MAX_FRAME_BYTES) {
      this.drops.add('oversized');
      return;
    }
    // A real network must not send in the name of a machine that is here, e.g. through a loop that brings its frames back.
    if (from.kind === 'uplink' && this.byMac.has(macAt(frame, 6))) {
      this.drops.add('claims-local-mac');
      return;
    }
    for (const copy of this.copies) this.deliver(copy, frame);
    if (((frame[0] ?? 0) & 1) !== 0) {
      for (const plug of this.byMac.values()) if (plug !== from) this.deliver(plug, frame);
      for (const uplink of this.uplinks) if (uplink !== from) this.deliver(uplink, frame);
      return;
    }
    const to = this.byMac.get(macAt(frame, 0));
    if (to === from) return;
    if (to !== undefined) {
      this.deliver(to, frame);
      return;
    }
    let delivered = false;
    for (const uplink of this.uplinks) {
      if (uplink === from) continue;
      delivered = true;
      this.deliver(uplink, frame);
    }
    if (!delivered) this.drops.add('no-such-station');
  }

  private deliver(to: Plug, frame: Uint8Array): void {
    try {
      to.station.receive(frame);
    } catch {
      // One broken station must not keep frames from the others.
      this.drops.add('station-failed');
    }
  }
}
