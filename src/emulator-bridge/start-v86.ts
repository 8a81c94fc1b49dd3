/** Starts v86 with exactly the devices that can be moved, and with write tracking from before the first instruction. */
import { MachineError } from './machine-error.ts';
import type { MachineParts } from './machine.ts';
import type { OverlayDisk } from './overlay-disk.ts';
import { addPanicDevice } from './panic-device.ts';
import { V86, type V86Cpu, type V86Instance, type V86Machine, type V86Options } from './v86-api.ts';
import { FRAME_BUFFER_BYTES } from './video-memory.ts';
import { WriteTracking } from './write-tracking.ts';

/** Devices whose state moves, with their names in the fingerprint. No balloon and no 9p: their writes to RAM bypass write tracking. */
export const V86_DEVICES: readonly string[] = [
  'dma',
  'fdc',
  'ide',
  'pci',
  'pic',
  'pit',
  'ps2',
  'pvpanic',
  'rtc',
  'sb16',
  'uart0',
  'uart1',
  'vga',
  'virtio-net',
  'vmware',
];

/** v86 rounds RAM up to blocks of this size. */
const MEMORY_UNIT = 128 * 1024;
/** Where v86 maps the BIOS a second time, for its first instructions after a reset. */
const BIOS_ALIAS = { address: 0xfff0_0000, bytes: 0x10_0000 } as const;

export interface StartedV86 {
  readonly instance: V86Instance;
  readonly tracking: WriteTracking;
}

/**
 * Resolves once all devices exist. Nothing runs. `panicked` is called, inside a tick, when the guest's kernel reports a
 * panic. Rejects with MachineError if a part does not fit.
 */
export async function startV86(parts: MachineParts, overlay: OverlayDisk, panicked: () => void): Promise<StartedV86> {
  if (parts.memoryBytes % MEMORY_UNIT !== 0 || parts.memoryBytes <= 0) {
    throw new MachineError('parts-invalid', `A machine's memory is a multiple of ${MEMORY_UNIT} bytes, not ${parts.memoryBytes}.`);
  }
  const options: V86Options = {
    wasm_fn: async (imports) => (await WebAssembly.instantiate(parts.emulator, imports)).exports,
    memory_size: parts.memoryBytes,
    vga_memory_size: FRAME_BUFFER_BYTES,
    bios: { buffer: copyOf(parts.bios) },
    vga_bios: { buffer: copyOf(parts.vgaBios) },
    hda: overlay,
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
  const continueInit = instance.continue_init.bind(instance);
  return new Promise((resolve, reject) => {
    // Called after the CPU is created and before its devices are: the only moment for steps that must come first.
    instance.continue_init = async (machine: V86Machine, given: V86Options) => {
      try {
        closeBiosAlias(machine.cpu);
        const init = machine.init.bind(machine);
        // v86 calls init in a separate task, where a failure would go unnoticed.
        machine.init = (settings) => {
          try {
            init(settings);
            addPanicDevice(machine.cpu, panicked);
          } catch (error) {
            reject(startFailed(error));
          }
        };
        await continueInit(machine, given);
      } catch (error) {
        reject(startFailed(error));
      }
    };
    instance.add_listener('emulator-loaded', () => {
      try {
        const { cpu } = instance.v86;
        // v86 does not look at what its allocator answers.
        if (cpu.mem8.byteOffset === 0) {
          throw new MachineError(
            'parts-invalid',
            `This host has no room for a machine with ${parts.memoryBytes / 2 ** 20} MiB of memory. Close other tabs, or start a smaller one.`,
          );
        }
        const tracking = new WriteTracking(cpu.wm.exports, parts.memoryBytes);
        tracking.start(cpu.mem8.byteOffset);
        resolve({ instance, tracking });
      } catch (error) {
        reject(startFailed(error));
      }
    });
  });
}

/**
 * Makes the firmware read-only in the alias: v86's own handler would write RAM without any notice. v86 maps the alias
 * whenever it loads the BIOS, at the start and at each reset.
 */
function closeBiosAlias(cpu: V86Cpu): void {
  const stock = cpu.load_bios.bind(cpu);
  cpu.load_bios = () => {
    stock();
    cpu.io.mmap_register(
      BIOS_ALIAS.address,
      BIOS_ALIAS.bytes,
      (address) => cpu.mem8[address & (BIOS_ALIAS.bytes - 1)] ?? 0xff,
      () => undefined,
    );
  };
}

/** v86 wants an ArrayBuffer of exactly the content. */
function copyOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

function startFailed(error: unknown): Error {
  if (error instanceof MachineError) return error;
  return new MachineError('emulator-changed', `The emulator did not start: ${error instanceof Error ? error.message : String(error)}.`, { cause: error });
}
