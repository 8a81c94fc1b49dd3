/**
 * A room's LAN as the gateway (and a TAP, a capture) sees it. Every room is a separate LAN with the same addresses;
 * frames never cross. The relay hands one `Lan` to each gateway it opens.
 */
import type { Disposable } from '../../shared/disposable.ts';
import type { HostId, Ipv4Address, MacAddress, RoomName, VmId } from '../../shared/ids.ts';
import type { PortForward } from '../protocol/relay-protocol.ts';
import type { Station, StationSocket } from './station.ts';

/** 10.86.0.0/24: private, and unlikely on a real network, so that a TAP seldom meets a clash. */
export const LAN_PREFIX_LENGTH = 24;
export const LAN_NETMASK = '255.255.255.0' as Ipv4Address;
export const GATEWAY_IP = '10.86.0.1' as Ipv4Address;
/** VMs have `02:5a:…`; the gateway's address can therefore never be a VM's. */
export const GATEWAY_MAC = '02:00:00:00:00:01' as MacAddress;

/** This machine's own address in a room that it joins through a TAP device; no VM gets it. */
export const TAP_IP = '10.86.0.254' as Ipv4Address;

/** The address of the room's machine number `host` (1..254). */
export function lanAddress(host: number): Ipv4Address {
  return `10.86.0.${host}` as Ipv4Address;
}

/** What a LAN knows of a VM. MAC and IP stay with the VM for life; owner and epoch change when it moves. */
export interface LanVm {
  readonly id: VmId;
  readonly name: string;
  readonly mac: MacAddress;
  readonly ip: Ipv4Address;
  readonly ownerHostId: HostId;
  readonly epoch: number;
  /** A port is attached that can take frames (now, or after a hold). */
  readonly attached: boolean;
  /** As last set; after a restart of the relay the ones it had before, so that the same host ports can be opened again. */
  readonly forwards: readonly PortForward[];
}

/** How a station is found: by one fixed MAC, as the way to a real network (unknown addresses go there), or as a listener that gets a copy of everything and sends nothing. */
export type StationPlace = { readonly mac: MacAddress } | { readonly uplink: true } | { readonly tap: 'copy' };

export interface Lan {
  readonly room: RoomName;
  /** Plugs a station into the room's switch. */
  plug(station: Station, place: StationPlace): StationSocket;
  vms(): readonly LanVm[];
  /** After any change of vms(). */
  onVms(listener: () => void): Disposable;
  /** Called when nobody has been in the room for half a minute, and again every half minute; its VMs may come back. */
  onLeft(listener: () => void): Disposable;
  /** A result of the gateway's steady ping; passed to the hosts of the room. `rttMs` null: lost. */
  reportPing(vmId: VmId, seq: number, rttMs: number | null): void;
  /** Sets the VM's current port forwards, which the room and the API show. Throws StoreRefusal; then they have not changed. */
  setForwards(vmId: VmId, forwards: readonly PortForward[]): void;
}

/** Opens the gateway of a room; called once when the room opens, disposed when the room is forgotten. */
export type OpenGateway = (lan: Lan) => Disposable;
