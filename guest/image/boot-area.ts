/**
 * What the BIOS and our loader read. A disk that boots by itself needs nothing beside it, so a reboot inside the guest
 * works wherever the VM has moved to. The disk is the root file system, which leaves its first 1024 bytes to the boot
 * code, followed by the boot area:
 *
 *   sector 0              boot sector (boot/mbr.S)
 *   1024 bytes..          the rest of the file system, FILE_SYSTEM_BYTES in all
 *   FILE_SYSTEM_BYTES..   32 sectors, loaded to 0x8000 by the boot sector:
 *                           0x8000  the loader (boot/loader.S, boot/unpack.c)
 *                           0xa000  boot parameters (the kernel's "zero page", 4096 bytes)
 *                           0xb000  kernel command line
 *                           0xb400  table: magic, first sector, sectors, address, entry; at 0xb420 two blocks
 *                         then kernel and initrd, each one LZ4 block, padded together to whole sectors; read to
 *                         PACKED_ADDRESS
 *
 *   block := packedAddress packedBytes address bytes zeroedBytes        (each u32, little endian)
 */
import { GuestError } from '../guest-error.ts';
import type { FlatProgram } from './elf.ts';
import { compressLz4 } from './lz4.ts';

export const SECTOR_BYTES = 512;
/** Room for what a class writes; empty blocks cost neither the server nor the tab anything. */
export const FILE_SYSTEM_BYTES = 112 * 1024 * 1024;
export const BOOT_AREA_BYTES = 16 * 1024 * 1024;
export const DISK_BYTES = FILE_SYSTEM_BYTES + BOOT_AREA_BYTES;
/** Where the boot sector finds the loader; given to the assembler. */
export const LOADER_SECTOR = FILE_SYSTEM_BYTES / SECTOR_BYTES;

const LOADED_SECTORS = 32;
const LOADER_OFFSET = 0;
const BOOT_PARAMS_OFFSET = 0x2000;
const COMMAND_LINE_OFFSET = 0x3000;
const COMMAND_LINE_ADDRESS = 0xb000;
const TABLE_OFFSET = 0x3400;
const BLOCKS_OFFSET = 0x3420;
const TABLE_MAGIC = 0x544d4c31;
/** Packed data is read here and must end below the kernel, which starts at 16 MiB. */
const PACKED_ADDRESS = 0x100000;
/** Initrd: behind the kernel and what it needs to start, within the smallest memory we allow (64 MiB). */
const INITRD_ADDRESS = 0x3000000;
/** The rest of the sector belongs to a partition table, which stays empty. */
const BOOT_CODE_BYTES = 440;

/** Offsets in the boot parameters (Documentation/x86/zero-page.rst, boot.rst). */
const SCREEN = { mode: 0x06, columns: 0x07, lines: 0x0e, isVga: 0x0f, points: 0x10 } as const;
const SETUP_HEADER = 0x1f1;
const HEADER_MAGIC = 0x202;
const BOOT_LOADER_TYPE = 0x210;
const INITRD_POINTER = 0x218;
const INITRD_SIZE = 0x21c;
const COMMAND_LINE_POINTER = 0x228;

export interface BootAreaParts {
  readonly bootSector: Uint8Array;
  readonly loader: Uint8Array;
  readonly kernel: FlatProgram;
  /** The first sectors of the kernel file it came from: its setup header is handed to the kernel. */
  readonly kernelSetup: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
}

export interface BootArea {
  readonly sector: Uint8Array;
  /** At FILE_SYSTEM_BYTES; exactly BOOT_AREA_BYTES long. */
  readonly area: Uint8Array;
}

/** Throws a GuestError if a part is too large for its place. */
export function bootArea(parts: BootAreaParts): BootArea {
  const area = new Uint8Array(BOOT_AREA_BYTES);
  const kernelBlock = compressLz4(parts.kernel.bytes);
  const initrdBlock = compressLz4(parts.initrd);
  const packedBytes = kernelBlock.length + initrdBlock.length;
  const sectors = Math.ceil(packedBytes / SECTOR_BYTES);
  const firstSector = LOADER_SECTOR + LOADED_SECTORS;
  mustFit('packed kernel and initrd', PACKED_ADDRESS + sectors * SECTOR_BYTES, parts.kernel.address);
  mustFit('kernel', parts.kernel.address + parts.kernel.bytes.length + parts.kernel.zeroedBytes, INITRD_ADDRESS);
  mustFit('packed kernel and initrd', (firstSector + sectors) * SECTOR_BYTES, DISK_BYTES);
  mustFit('loader', parts.loader.length, BOOT_PARAMS_OFFSET);
  mustFit('command line', parts.commandLine.length + 1, TABLE_OFFSET - COMMAND_LINE_OFFSET);
  mustFit('boot sector', parts.bootSector.length, BOOT_CODE_BYTES);

  const loaded = area.subarray(0, LOADED_SECTORS * SECTOR_BYTES);
  loaded.set(parts.loader, LOADER_OFFSET);
  loaded.set(bootParameters(parts.kernelSetup, parts.initrd.length), BOOT_PARAMS_OFFSET);
  loaded.set(new TextEncoder().encode(parts.commandLine), COMMAND_LINE_OFFSET);
  const view = new DataView(loaded.buffer, loaded.byteOffset, loaded.byteLength);
  putWords(view, TABLE_OFFSET, [TABLE_MAGIC, firstSector, sectors, PACKED_ADDRESS, parts.kernel.entry]);
  putWords(view, BLOCKS_OFFSET, [
    ...[PACKED_ADDRESS, kernelBlock.length, parts.kernel.address, parts.kernel.bytes.length, parts.kernel.zeroedBytes],
    ...[PACKED_ADDRESS + kernelBlock.length, initrdBlock.length, INITRD_ADDRESS, parts.initrd.length, 0],
  ]);

  area.set(kernelBlock, loaded.length);
  area.set(initrdBlock, loaded.length + kernelBlock.length);
  const sector = new Uint8Array(SECTOR_BYTES);
  sector.set(parts.bootSector);
  sector.set([0x55, 0xaa], SECTOR_BYTES - 2);
  return { sector, area };
}

/** The parameters that the kernel's own real-mode code would fill in; the loader adds memory map and cursor. */
function bootParameters(setup: Uint8Array, initrdBytes: number): Uint8Array {
  const params = new Uint8Array(4096);
  const view = new DataView(params.buffer);
  // The jump instruction at 0x200 tells how long the header is.
  const headerEnd = HEADER_MAGIC + (setup[0x201] ?? 0);
  params.set(setup.subarray(SETUP_HEADER, headerEnd), SETUP_HEADER);
  if (view.getUint32(HEADER_MAGIC, true) !== 0x53726448) {
    throw new GuestError('unexpected-content', 'The kernel file has no setup header; the package changed in a way the recipe does not know.');
  }
  view.setUint8(SCREEN.mode, 3);
  view.setUint8(SCREEN.columns, 80);
  view.setUint8(SCREEN.lines, 25);
  view.setUint8(SCREEN.isVga, 1);
  view.setUint16(SCREEN.points, 16, true);
  view.setUint8(BOOT_LOADER_TYPE, 0xff);
  view.setUint32(INITRD_POINTER, INITRD_ADDRESS, true);
  view.setUint32(INITRD_SIZE, initrdBytes, true);
  view.setUint32(COMMAND_LINE_POINTER, COMMAND_LINE_ADDRESS, true);
  return params;
}

function putWords(view: DataView, at: number, words: readonly number[]): void {
  words.forEach((word, index) => view.setUint32(at + index * 4, word, true));
}

function mustFit(what: string, end: number, limit: number): void {
  if (end > limit)
    throw new GuestError('unexpected-content', `The ${what} has grown to ${end} bytes and must end at ${limit}; guest/image/boot-area.ts has to make room.`);
}
