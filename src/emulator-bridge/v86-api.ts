/**
 * The only file that imports v86. It declares the few internal members of v86 that the bridge uses, exactly as in the
 * pinned version (package.json). Most are not public, so check this file again for every new version of v86.
 */
// Must come first: it decides which timers v86 uses.
import './no-nested-worker.ts';
import { V86 as V86Constructor } from 'v86';
import type { VirtioNetLike } from './network-card.ts';
import type { Ps2Like, Ps2QueueLike } from './ps2-input.ts';
import type { VgaLike } from './screen.ts';
import type { UartLike } from './serial-port.ts';
import type { BusLike } from './v86-bus.ts';

/** Functions of v86.wasm that the bridge calls, and the globals that write tracking adds (write-tracking.ts). */
export interface V86Exports extends WebAssembly.Exports {
  readonly memory: WebAssembly.Memory;
  readonly v86_malloc: (bytes: number) => number;
  readonly full_clear_tlb: () => void;
  readonly jit_clear_cache_js: () => void;
  readonly read_tsc: () => bigint;
  readonly set_tsc: (low: number, high: number) => void;
  /** `fldcw`: stores the x87 control word, and makes the floating-point code round as it says. */
  readonly set_control_word: (word: number) => void;
}

interface V86Pit {
  /** Per counter: when it was started, on the host's `performance.now()`. */
  counter_start_time: Float64Array;
}

/** Times of the real-time clock are milliseconds of the host's `Date.now()`; 0 = not set. */
export interface V86Rtc {
  rtc_time: number;
  last_update: number;
  next_interrupt: number;
  next_interrupt_alarm: number;
  update_interrupt_time: number;
  /** The register that the next access to the data port is for. */
  readonly cmos_index: number;
  readonly cmos_data: Uint8Array;
  decode_time(value: number): number;
  cmos_port_write(value: number): void;
  /** Called at least ten times a second while the CPU runs; the result is when to call again, in milliseconds. */
  timer(now: number, acpi: boolean): number;
}

interface V86Vga extends VgaLike {
  /** Four planes of 64 KiB: text, fonts, planar graphics. */
  readonly vga_memory: Uint8Array;
  /** Linear frame buffer; a slow view that follows the wasm memory as it grows. */
  readonly svga_memory: Uint8Array;
  /** Bochs' display interface, as the guest reads it back. */
  svga_version: number;
  svga_offset_x: number;
  svga_offset_y: number;
  get_state(): unknown[];
  complete_replot(): void;
}

/** One drive of a channel of the disk controller. */
export interface V86Drive {
  readonly status_reg: number;
  /** The bytes of the current transfer. The guest has read or written those before data_pointer, and may continue up to data_end. */
  data: Uint8Array;
  data16: Uint16Array;
  data32: Int32Array;
  readonly data_pointer: number;
  readonly data_end: number;
  readonly data_length: number;
  get_state: (this: V86Drive) => unknown[];
  set_state: (this: V86Drive, state: unknown[]) => void;
  atapi_sense_key: number;
  atapi_add_sense: number;
  medium_changed: number;
}

interface V86Channel {
  readonly master: V86Drive;
  readonly slave: V86Drive;
}

interface V86Sound {
  readonly write_buffer: Ps2QueueLike;
  readonly read_buffer: Ps2QueueLike;
  readonly mpu_read_buffer: Ps2QueueLike;
  mpu_read_buffer_lastvalue: number;
  fm_current_address0: number;
  fm_current_address1: number;
}

/** VMware's mouse and clipboard. */
interface V86Pointer {
  queue: number[];
  tail_is_move: boolean;
  clip_in: Uint8Array;
  clip_in_cursor: number;
}

interface V86Devices {
  readonly pci: V86Pci;
  readonly pit: V86Pit;
  readonly rtc: V86Rtc;
  readonly uart0: UartLike;
  readonly uart1: UartLike;
  readonly ps2: Ps2Like;
  readonly vga: V86Vga;
  readonly virtio_net: VirtioNetLike;
  readonly ide: { readonly primary: V86Channel; readonly secondary: V86Channel };
  readonly sb16: V86Sound;
  readonly vmware: V86Pointer;
}

/** A card on the PCI bus, as v86 takes one. */
interface V86PciCard {
  readonly name: string;
  /** Bus, slot and function. */
  readonly pci_id: number;
  /** The configuration header's bytes. */
  readonly pci_space: readonly number[];
  readonly pci_bars: readonly { readonly size: number }[];
}

interface V86Pci {
  /** Takes the handlers that the card's ports have at that moment. */
  register_device(card: V86PciCard): void;
}

interface V86Io {
  port_read8(port: number): number;
  port_write8(port: number, value: number): void;
  register_read(port: number, device: object, read8: () => number): void;
  register_write(port: number, device: object, write8: (value: number) => void): void;
  mmap_register(address: number, size: number, read8: (address: number) => number, write8: (address: number, value: number) => void): void;
}

/** What v86's state.js calls a packed memory. */
interface PackedMemory {
  bitmap: { get_buffer(): ArrayBufferLike };
  packed_memory: Uint8Array;
}

export interface V86Cpu {
  readonly wasm_memory: WebAssembly.Memory;
  readonly wm: { readonly exports: V86Exports };
  readonly devices: V86Devices;
  readonly io: V86Io;
  /** Guest RAM; a slow view that follows the wasm memory. `byteOffset` is where RAM begins. */
  readonly mem8: Uint8Array;
  readonly memory_size: Uint32Array;
  readonly instruction_counter: Uint32Array;
  readonly in_hlt: Uint8Array;
  readonly flags: Int32Array;
  /** Limit of the interrupt descriptor table. */
  readonly idtr_size: Int32Array;
  last_result: Int32Array;
  fpu_status_word: Uint16Array;
  readonly fpu_control_word: Uint16Array;
  /** How many bytes of the firmware configuration's answer were read. */
  fw_pointer: number;
  mxcsr: Int32Array;
  load_bios(): void;
  reboot_internal(): void;
  full_clear_tlb(): void;
  pack_memory(): PackedMemory;
  unpack_memory(bitmap: unknown, packed: Uint8Array): void;
  write_blob(data: Uint8Array, address: number): void;
}

/** The scheduler of one emulated PC. */
export interface V86Machine {
  running: boolean;
  stopping: boolean;
  tick_counter: number;
  readonly cpu: V86Cpu;
  readonly bus: BusLike;
  /** Creates RAM and devices. */
  init(settings: object): void;
  run(): void;
  stop(): void;
  do_tick(): void;
  next_tick(delayMs: number): void;
  /** Calls `yield_callback(tick)` after `delayMs`. */
  yield(delayMs: number, tick: number): void;
  yield_callback(tick: number): void;
  unregister_yield(): void;
  save_state(): ArrayBuffer;
  restore_state(state: ArrayBuffer): void;
}

/** A disk as v86's IDE controller uses it; offsets and lengths are bytes, multiples of 256. */
interface V86Disk {
  byteLength: number;
  onload: ((event: object) => void) | undefined;
  load(): void;
  get(offset: number, length: number, done: (data: Uint8Array) => void, options?: { signal?: AbortSignal }): void;
  set(offset: number, data: Uint8Array, done: () => void): void;
  get_buffer(done: (buffer?: ArrayBuffer) => void): void;
  get_state(): unknown[];
  set_state(state: unknown[]): void;
}

export interface V86Options {
  wasm_fn: (imports: WebAssembly.Imports) => Promise<WebAssembly.Exports>;
  memory_size: number;
  vga_memory_size: number;
  bios: { buffer: ArrayBuffer };
  vga_bios: { buffer: ArrayBuffer };
  hda: V86Disk;
  net_device: { type: 'virtio' };
  preserve_mac_from_state_image: boolean;
  uart1: boolean;
  acpi: boolean;
  autostart: boolean;
  disable_keyboard: boolean;
  disable_mouse: boolean;
  disable_speaker: boolean;
}

/** One instance of v86. */
export interface V86Instance {
  readonly v86: V86Machine;
  /** The outer end of the bus: receives what devices send, and sends what they listen to. */
  readonly bus: BusLike;
  /** Runs once, between the creation of the CPU and that of its devices. */
  continue_init(machine: V86Machine, options: V86Options): Promise<void>;
  add_listener(name: string, listener: (value: never) => void): void;
  remove_listener(name: string, listener: (value: never) => void): void;
  destroy(): Promise<void>;
}

export const V86 = V86Constructor as unknown as new (options: V86Options) => V86Instance;
