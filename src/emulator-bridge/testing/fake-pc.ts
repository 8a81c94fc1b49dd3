/** The memory of a PC without a CPU, laid out as v86 lays it out: what GuestMemory works on. */
import { PAGE_SIZE } from '../../shared/page.ts';
import { GuestMemory } from '../guest-memory.ts';
import { OverlayDisk } from '../overlay-disk.ts';
import type { V86Cpu, V86Exports } from '../v86-api.ts';
import { FRAME_BUFFER_BYTES, PLANE_BYTES } from '../video-memory.ts';
import { WriteTracking } from '../write-tracking.ts';
import { FakeBaseDisk } from './fake-base-disk.ts';

const RAM_BASE = 64 * 1024;
const RAM_PAGES = 64;
const MAP_ADDRESS = 4096;
const VIDEO_BASE = RAM_BASE + RAM_PAGES * PAGE_SIZE;

export interface FakePc {
  readonly memory: GuestMemory;
  readonly overlay: OverlayDisk;
  readonly planes: Uint8Array;
  readonly frameBuffer: Uint8Array;
  /** Acts like the guest's CPU when it writes a byte: changes RAM, and marks the page if the TLB has no entry for it. */
  write(address: number, value: number): void;
  /** How often the TLB was cleared. */
  readonly clearings: () => number;
}

export function fakePc(): FakePc {
  const wasmMemory = new WebAssembly.Memory({ initial: Math.ceil((VIDEO_BASE + FRAME_BUFFER_BYTES) / 65536) });
  const globals = {
    tracking_map_address: new WebAssembly.Global({ value: 'i32', mutable: true }, 0),
    tracking_ram_base: new WebAssembly.Global({ value: 'i32', mutable: true }, 0),
    tracking_page_count: new WebAssembly.Global({ value: 'i32', mutable: true }, 0),
  };
  const writable = new Set<number>();
  let clearings = 0;
  const exports = {
    memory: wasmMemory,
    v86_malloc: () => MAP_ADDRESS,
    full_clear_tlb: () => {
      clearings++;
      writable.clear();
    },
    ...globals,
  } as unknown as V86Exports;
  const planes = new Uint8Array(PLANE_BYTES);
  const frameBuffer = new Uint8Array(wasmMemory.buffer, VIDEO_BASE, FRAME_BUFFER_BYTES);
  const cpu = {
    wasm_memory: wasmMemory,
    memory_size: Uint32Array.of(RAM_PAGES * PAGE_SIZE),
    mem8: { byteOffset: RAM_BASE },
    devices: { vga: { vga_memory: planes, svga_memory: { byteOffset: VIDEO_BASE } } },
  } as unknown as V86Cpu;
  const base = new FakeBaseDisk(64 * PAGE_SIZE, 65536);
  base.immediate = true;
  const overlay = new OverlayDisk(base);
  const tracking = new WriteTracking(exports, RAM_PAGES * PAGE_SIZE);
  tracking.start(RAM_BASE);
  return {
    memory: new GuestMemory(cpu, overlay, tracking),
    overlay,
    planes,
    frameBuffer,
    write(address, value) {
      const bytes = new Uint8Array(wasmMemory.buffer);
      const page = Math.floor(address / PAGE_SIZE);
      // Only the first write after the TLB was cleared passes the wrapped function.
      if (!writable.has(page)) {
        writable.add(page);
        bytes[globals.tracking_map_address.value + page] = 1;
      }
      bytes[globals.tracking_ram_base.value + address] = value;
    },
    clearings: () => clearings,
  };
}
