/**
 * The complete state of a PC that v86 0.5.462 does not save: fields of its objects, variables of v86.wasm in memory,
 * and variables of functions. For each, the list says whether the bridge carries it, it is recomputed after a restore,
 * or it may be lost, and gives the reason. unsaved-state.test.ts compares the list with the emulator.
 */
import type { V86Kind } from './v86-objects.ts';

export interface Unsaved {
  readonly becomes: 'carried' | 'recomputed' | 'harmless';
  /** What carries it, what recomputes it, or why it may be lost. */
  readonly how: string;
}

const carried = (how: string): Unsaved => ({ becomes: 'carried', how });
const recomputed = (how: string): Unsaved => ({ becomes: 'recomputed', how });
const harmless = (how: string): Unsaved => ({ becomes: 'harmless', how });

const WIRING = harmless('another object of the same PC, set once when it is made');
const CONSTANT = harmless('set when the PC is made, from options that the fingerprint compares, and never written again');
const VIEW = harmless('a view of an array that is saved');
const DRAWING = harmless('what was last drawn for people; run() draws all of it again');
const HIDDEN = carried('hidden-state.ts');

/** Fields that get_state does not name or set_state does not set, by kind of object. */
export const UNSAVED_FIELDS: Readonly<Record<V86Kind, Readonly<Record<string, Unsaved>>>> = {
  cpu: {
    wm: WIRING,
    jit_imports: WIRING,
    io: WIRING,
    bus: WIRING,
    mem8: carried('GuestMemory, as pages'),
    mem32s: VIEW,
    memory_map_read8: recomputed('devices register their memory when they are made, at places that never change'),
    memory_map_write8: recomputed('as memory_map_read8'),
    memory_map_read32: recomputed('as memory_map_read8'),
    memory_map_write32: recomputed('as memory_map_read8'),
    bios: CONSTANT,
    option_roms: CONSTANT,
    fw_pointer: HIDDEN,
    apic_enabled: harmless('no ACPI (start-v86.ts): only a PC with one writes it'),
    acpi_enabled: CONSTANT,
    instruction_counter: harmless('a statistic; the guest cannot read it'),
    svga_dirty_bitmap_min_offset: DRAWING,
    svga_dirty_bitmap_max_offset: DRAWING,
    current_tsc: carried('guest-clock.ts: a number that passes a reading of the TSC to JavaScript'),
  },
  io: { cpu: WIRING, ports: recomputed('pci.set_state: those of PCI devices move to where the saved configuration has them') },
  pci: {
    cpu: WIRING,
    io: WIRING,
    devices: WIRING,
    isa_bridge: CONSTANT,
    pci_addr32: VIEW,
    pci_value32: VIEW,
    pci_response32: VIEW,
    pci_status32: VIEW,
    isa_bridge_space: VIEW,
    isa_bridge_space8: VIEW,
  },
  rtc: { cpu: WIRING },
  dma: { cpu: WIRING, unmask_listeners: WIRING },
  vga: {
    cpu: WIRING,
    bus: WIRING,
    screen: WIRING,
    name: CONSTANT,
    pci_id: CONSTANT,
    pci_space: CONSTANT,
    pci_bars: CONSTANT,
    pci_rom_size: CONSTANT,
    pci_rom_address: CONSTANT,
    plane0: VIEW,
    plane1: VIEW,
    plane2: VIEW,
    plane3: VIEW,
    svga_version: HIDDEN,
    svga_offset_x: HIDDEN,
    svga_offset_y: HIDDEN,
    screen_width: DRAWING,
    screen_height: DRAWING,
    virtual_width: DRAWING,
    virtual_height: DRAWING,
    layers: DRAWING,
    image_data: DRAWING,
    pixel_buffer: DRAWING,
    diff_addr_min: DRAWING,
    diff_addr_max: DRAWING,
    diff_plot_min: DRAWING,
    diff_plot_max: DRAWING,
  },
  ps2: {
    cpu: WIRING,
    bus: WIRING,
    kbd_buffer: carried('ps2-input.ts'),
    mouse_buffer: carried('ps2-input.ts'),
    wheel_movement: carried('ps2-input.ts'),
    next_byte_is_ready: carried('ps2-input.ts'),
    next_byte_is_aux: carried('ps2-input.ts'),
    last_mouse_packet: harmless("the host's time of the last packet; v86 never reads it"),
  },
  vmware: {
    cpu: WIRING,
    bus: WIRING,
    queue: HIDDEN,
    tail_is_move: HIDDEN,
    clip_in: HIDDEN,
    clip_in_cursor: HIDDEN,
    clip_out: harmless('what the host puts on the clipboard; the page never does'),
    clip_out_cursor: harmless('as clip_out'),
    clip_out_fresh: harmless('as clip_out'),
    buttons: harmless('told to the guest only with an absolute place, which the page never sends'),
    last_x: harmless('as buttons'),
    last_y: harmless('as buttons'),
    host_pointer_locked: harmless('the page never says so'),
    rel_dx: harmless('as host_pointer_locked'),
    rel_dy: harmless('as host_pointer_locked'),
  },
  uart: {
    cpu: WIRING,
    bus: WIRING,
    com: CONSTANT,
    input: carried('serial-port.ts'),
    current_line: harmless('output gathered into lines for listeners that the bridge does not have'),
  },
  parallel: {
    cpu: WIRING,
    bus: WIRING,
    irq: CONSTANT,
    lpt: CONSTANT,
    data_output_event: CONSTANT,
    control_output_event: CONSTANT,
    status_input_event: CONSTANT,
  },
  floppyController: { cpu: WIRING, io: WIRING, dma: WIRING, cmd_table: CONSTANT },
  floppyDrive: { name: CONSTANT },
  diskController: { cpu: WIRING, bus: WIRING, name: CONSTANT, pci_id: CONSTANT, pci_space: CONSTANT, pci_bars: CONSTANT },
  channel: { cpu: WIRING, bus: WIRING, controller: WIRING, channel_nr: CONSTANT },
  drive: {
    cpu: WIRING,
    bus: WIRING,
    channel: WIRING,
    name: CONSTANT,
    channel_nr: CONSTANT,
    interface_nr: CONSTANT,
    data16: recomputed('set_state: a view of the data'),
    data32: recomputed('set_state: a view of the data'),
    drive_connected: harmless('true, or the disk, which is as true'),
    last_io_id: harmless('numbers requests that are under way, and none is'),
    in_progress_io_ids: harmless('empty: drainDisk() comes before saveDevices()'),
    cancelled_io_ids: harmless('as in_progress_io_ids'),
    atapi_sense_key: HIDDEN,
    atapi_add_sense: HIDDEN,
    medium_changed: HIDDEN,
  },
  pit: { cpu: WIRING, bus: WIRING },
  networkCard: { bus: WIRING, pairs: CONSTANT, status: CONSTANT, preserve_mac_from_state_image: CONSTANT },
  virtio: {
    cpu: WIRING,
    pci: WIRING,
    name: CONSTANT,
    device_id: CONSTANT,
    pci_id: CONSTANT,
    pci_space: CONSTANT,
    pci_bars: CONSTANT,
    queue_selected: recomputed('set_state: the queue of the number that is saved'),
  },
  queue: {
    cpu: WIRING,
    virtio: WIRING,
    mask: recomputed('set_state: the size, less one'),
    fix_wrapping: harmless('for states of older versions; false, or not there'),
  },
  sound: {
    cpu: WIRING,
    bus: WIRING,
    dma: WIRING,
    write_buffer: HIDDEN,
    read_buffer: HIDDEN,
    mpu_read_buffer: HIDDEN,
    mpu_read_buffer_lastvalue: HIDDEN,
    fm_current_address0: HIDDEN,
    fm_current_address1: HIDDEN,
    fm_waveform_select_enable: harmless('written as if it were an array, and never read'),
    dac_buffers: harmless('samples for loudspeakers, which these PCs do not have (disable_speaker)'),
    dma_buffer: recomputed('set_state'),
    dma_buffer_int8: recomputed('set_state'),
    dma_buffer_int16: recomputed('set_state'),
    dma_buffer_uint16: recomputed('set_state'),
    dma_syncbuffer: recomputed('set_state'),
  },
  absent: {},
};

/*
 * Variables inside v86's functions, which no object exposes. They were found by reading; a new v86 must be read again
 * (the test says when).
 *   CPU.init, a20_byte: carried by hidden-state.ts, by port 0x92
 *   CPU.init, settings: the same on every host
 *   ByteQueue, data, start and end: carried with the queue they belong to
 *   IDE and virtio, requests under way: there are none, as drainDisk() waits for them and replies are made at once
 */

/** A piece of v86.wasm's memory: where it begins, and how long it is. */
export interface Piece extends Unsaved {
  readonly name: string;
  readonly at: number;
  readonly bytes: number;
}

const saved = (name: string, at: number, bytes: number): Piece => ({ name, at, bytes, becomes: 'carried', how: "v86's own state" });
const piece = (name: string, at: number, bytes: number, what: Unsaved): Piece => ({ name, at, bytes, ...what });
const WITHIN_INSTRUCTION = harmless('written and read within one instruction or one turn of the loop');

/** The CPU's registers, at fixed places below 4096 (upstream: src/rust/cpu/global_pointers.rs). */
export const REGISTERS: readonly Piece[] = [
  saved('reg32', 64, 32),
  saved('last_op_size', 96, 4),
  saved('flags_changed', 100, 4),
  saved('last_op1', 104, 4),
  piece('state_flags', 108, 4, recomputed('set_state: update_state_flags()')),
  piece('last_result', 112, 4, carried("v86's own state; V86Devices.putBackLostViews() puts it in its place")),
  saved('flags', 120, 4),
  saved('segment_access_bytes', 512, 8),
  piece('apic_enabled', 548, 1, harmless('no ACPI: only a PC with one writes it')),
  piece('acpi_enabled', 552, 1, CONSTANT),
  saved('instruction_pointer', 556, 4),
  saved('previous_ip', 560, 4),
  saved('idtr_size', 564, 4),
  saved('idtr_offset', 568, 4),
  saved('gdtr_size', 572, 4),
  saved('gdtr_offset', 576, 4),
  saved('cr', 580, 32),
  saved('cpl', 612, 1),
  saved('in_hlt', 616, 1),
  piece('last_virt_eip', 620, 4, harmless('a cache of one address translation, which full_clear_tlb() forgets')),
  piece('eip_phys', 624, 4, harmless('as last_virt_eip')),
  saved('sysenter_cs', 636, 4),
  saved('sysenter_esp', 640, 4),
  saved('sysenter_eip', 644, 4),
  saved('prefixes', 648, 4),
  piece('instruction_counter', 664, 4, harmless('a statistic; the guest cannot read it')),
  saved('sreg', 668, 16),
  saved('dreg', 684, 32),
  piece('svga_dirty_bitmap_min_offset, max_offset', 716, 8, DRAWING),
  saved('segment_is_null', 724, 8),
  saved('segment_offsets', 736, 32),
  saved('segment_limits', 768, 32),
  saved('protected_mode', 800, 4),
  saved('is_32', 804, 4),
  saved('stack_size_32', 808, 4),
  saved('memory_size', 812, 4),
  saved('fpu_stack_empty', 816, 1),
  piece('mxcsr', 824, 4, carried("v86's own state; V86Devices.putBackLostViews() puts it in its place")),
  saved('reg_xmm', 832, 128),
  piece('current_tsc', 960, 8, harmless('passes a reading of the TSC to JavaScript')),
  saved('reg_pdpte', 968, 32),
  saved('fpu_stack_ptr', 1032, 1),
  saved('fpu_control_word', 1036, 2),
  piece('fpu_status_word', 1040, 2, carried("v86's own state; V86Devices.putBackLostViews() puts it in its place")),
  saved('fpu_opcode', 1044, 4),
  saved('fpu_ip', 1048, 4),
  saved('fpu_ip_selector', 1052, 4),
  saved('fpu_dp', 1056, 4),
  saved('fpu_dp_selector', 1060, 4),
  saved('tss_size_32', 1128, 4),
  piece('sse_scratch_register', 1136, 16, WITHIN_INSTRUCTION),
  saved('fpu_st', 1152, 128),
];

/** Where v86.wasm's variables begin (everything below is constant), and its stack, whose content only matters within one call. */
export const STATICS_BEGIN = 35_408;
export const STACK = { begin: 8_478_064, end: 9_526_640 } as const;

/** The variables of v86.wasm, in the order of their places; the names are those of v86-debug.wasm's debug information. */
export const STATICS: readonly Piece[] = [
  saved('PIC', 35_408, 28),
  piece('dest_buffer', 35_436, 12, DRAWING),
  piece('dirty_bitmap', 35_448, 12, DRAWING),
  piece('cpuid_level', 35_460, 4, CONSTANT),
  piece('tsc_resolution', 35_464, 8, recomputed("guest-clock.ts reads the TSC twice, a step of the host's clock apart")),
  piece('jit_exit_reason', 35_472, 4, WITHIN_INSTRUCTION),
  piece('tsc_speed', 35_480, 8, recomputed("v86, at the second step of the host's clock")),
  saved('APIC', 35_488, 192),
  piece('JIT_USE_LOOP_SAFETY, MAX_PAGES, MAX_EXTRA_BASIC_BLOCKS', 35_680, 12, CONSTANT),
  saved('IOAPIC', 35_692, 212),
  piece('softfloat_roundingMode', 35_904, 1, recomputed('V86Devices.applyControlWord()')),
  piece('the allocator, and what Rust counts of panics', 36_864, 480, harmless("of this instance's own memory")),
  piece('vga_mem8, vga_memory_size', 37_344, 8, CONSTANT),
  piece('tsc_offset', 37_352, 8, recomputed('guest-clock.ts')),
  piece('tsc_last_value', 37_360, 8, recomputed('v86, at the next reading of the TSC')),
  piece('the fault that compiled code ends with', 37_368, 8, WITHIN_INSTRUCTION),
  piece('jit_block_boundary', 37_376, 1, WITHIN_INSTRUCTION),
  piece('jit_paging_scratch_buffer', 40_960, 8192, WITHIN_INSTRUCTION),
  piece('tsc_number_of_same_readings', 49_152, 8, recomputed("v86, at the next step of the host's clock")),
  piece('keys of hash tables', 49_160, 17, harmless("of this instance's own tables")),
  piece('JIT_DISABLED', 49_177, 1, CONSTANT),
  piece('tlb_code', 49_180, 4_194_304, recomputed('set_state: full_clear_tlb()')),
  piece('JIT_STATE', 4_243_488, 256, recomputed('set_state: jit_clear_cache()')),
  piece('valid_tlb_entries_count', 4_243_744, 4, recomputed('set_state: full_clear_tlb()')),
  piece('valid_tlb_entries', 4_243_748, 40_000, recomputed('set_state: full_clear_tlb()')),
  piece('tlb_data', 4_283_748, 4_194_304, recomputed('set_state: full_clear_tlb()')),
  piece('mem8', 8_478_052, 4, CONSTANT),
  piece('softfloat_exceptionFlags', 8_478_056, 1, WITHIN_INSTRUCTION),
  piece('extF80_roundingPrecision', 8_478_057, 1, recomputed('V86Devices.applyControlWord()')),
];

/** WebAssembly's own globals that can be written. */
export const GLOBALS: Readonly<Record<string, Unsaved>> = {
  __stack_pointer: harmless('back at its start whenever no function runs'),
  tracking_map_address: CONSTANT,
  tracking_ram_base: CONSTANT,
  tracking_page_count: CONSTANT,
};

/** For the comparison of twins: whether a field (`kind.field`) or the register at a place may differ. */
export function mayDiffer(place: string): boolean {
  const [kind = '', field = ''] = place.split('.');
  if (kind === 'register') {
    const at = Number(field);
    return REGISTERS.some((one) => one.becomes === 'harmless' && at >= one.at && at < one.at + one.bytes);
  }
  return UNSAVED_FIELDS[kind as V86Kind][field]?.becomes === 'harmless';
}
