/**
 * v86 itself with all its devices and its unmodified WebAssembly. Its CPU never runs: adapters are tested against the
 * real devices, and the test acts as the guest's driver through ports and memory.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { OverlayDisk } from '../overlay-disk.ts';
import { V86, type V86Instance, type V86Options } from '../v86-api.ts';
import { FakeBaseDisk } from './fake-base-disk.ts';

/** The guest's side of the machine: what its CPU could do. */
export interface GuestSide {
  readonly io: {
    port_read8(port: number): number;
    port_write8(port: number, value: number): void;
    port_read16(port: number): number;
    port_write16(port: number, value: number): void;
  };
  read16(address: number): number;
  read32s(address: number): number;
  write16(address: number, value: number): void;
  write32(address: number, value: number): void;
  write_blob(data: Uint8Array, address: number): void;
  read_blob(address: number, length: number): Uint8Array;
}

export async function startDevices(): Promise<{ instance: V86Instance; guest: GuestSide; disk: OverlayDisk; base: FakeBaseDisk }> {
  const wasm = await readFile(createRequire(import.meta.url).resolve('v86/build/v86.wasm'));
  const base = new FakeBaseDisk(2 ** 20, 65536);
  base.immediate = true;
  const disk = new OverlayDisk(base, { readAheadBytes: 0 });
  const options: V86Options = {
    wasm_fn: async (imports) => (await WebAssembly.instantiate(wasm, imports)).instance.exports,
    memory_size: 16 * 2 ** 20,
    vga_memory_size: 2 ** 20,
    bios: { buffer: new ArrayBuffer(65536) },
    vga_bios: { buffer: new ArrayBuffer(32768) },
    hda: disk,
    net_device: { type: 'virtio' },
    preserve_mac_from_state_image: true,
    uart1: true,
    acpi: false,
    autostart: false,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
  };
  const instance = new V86(options);
  await new Promise<void>((resolve) => instance.add_listener('emulator-loaded', () => resolve()));
  base.immediate = false;
  return { instance, guest: instance.v86.cpu as unknown as GuestSide, disk, base };
}
