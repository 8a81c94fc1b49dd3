/** The little of ELF (32 bit, little endian) that the recipe needs: segments of a kernel, sections of a module or program. */
import { GuestError } from '../guest-error.ts';

const PT_LOAD = 1;
const DT_NEEDED = 1;

export interface FlatProgram {
  readonly entry: number;
  /** Physical address of the first byte of `bytes`. */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Memory behind `bytes` that the program expects to be zero. */
  readonly zeroedBytes: number;
}

function header(file: Uint8Array, what: string): DataView {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 52 || view.getUint32(0, false) !== 0x7f454c46 || file[4] !== 1 || file[5] !== 1) {
    throw new GuestError('unexpected-content', `${what} is not a 32-bit ELF file; the package changed in a way the recipe does not know.`);
  }
  return view;
}

/** Lays the loadable segments out as they stand in memory, by physical address. */
export function flattenElf(file: Uint8Array, what: string): FlatProgram {
  const view = header(file, what);
  const table = view.getUint32(28, true);
  const segments = Array.from({ length: view.getUint16(44, true) }, (_, index) => {
    const at = table + index * view.getUint16(42, true);
    return {
      type: view.getUint32(at, true),
      offset: view.getUint32(at + 4, true),
      address: view.getUint32(at + 12, true),
      fileBytes: view.getUint32(at + 16, true),
      memoryBytes: view.getUint32(at + 20, true),
    };
  }).filter((segment) => segment.type === PT_LOAD && segment.memoryBytes > 0);
  const first = Math.min(...segments.map((segment) => segment.address));
  const fileEnd = Math.max(...segments.map((segment) => segment.address + segment.fileBytes));
  const memoryEnd = Math.max(...segments.map((segment) => segment.address + segment.memoryBytes));
  if (segments.length === 0) throw new GuestError('unexpected-content', `${what} has nothing to load.`);
  const bytes = new Uint8Array(fileEnd - first);
  for (const segment of segments) {
    bytes.set(file.subarray(segment.offset, segment.offset + segment.fileBytes), segment.address - first);
  }
  return { entry: view.getUint32(24, true), address: first, bytes, zeroedBytes: memoryEnd - fileEnd };
}

export interface ElfSection {
  /** Where it stands in memory; 0 if it is not loaded. */
  readonly address: number;
  readonly offset: number;
  readonly content: Uint8Array;
}

/** The first section with this name, or null. */
export function elfSection(file: Uint8Array, name: string, what: string): ElfSection | null {
  const view = header(file, what);
  const table = view.getUint32(32, true);
  const entryBytes = view.getUint16(46, true);
  const sections = Array.from({ length: view.getUint16(48, true) }, (_, index) => {
    const at = table + index * entryBytes;
    return {
      name: view.getUint32(at, true),
      address: view.getUint32(at + 12, true),
      offset: view.getUint32(at + 16, true),
      bytes: view.getUint32(at + 20, true),
    };
  });
  const names = sections[view.getUint16(50, true)];
  const found = sections.find((section) => names !== undefined && textAt(file, names.offset + section.name) === name);
  if (found === undefined) return null;
  const { address, offset, bytes } = found;
  return { address, offset, content: file.subarray(offset, offset + bytes) };
}

/** Shared libraries a program or library asks for. */
export function neededLibraries(file: Uint8Array, what: string): string[] {
  const dynamic = elfSection(file, '.dynamic', what)?.content;
  const names = elfSection(file, '.dynstr', what)?.content;
  if (dynamic === undefined || names === undefined) return [];
  const view = new DataView(dynamic.buffer, dynamic.byteOffset, dynamic.byteLength);
  const needed: string[] = [];
  for (let at = 0; at + 8 <= dynamic.length; at += 8) {
    if (view.getUint32(at, true) === DT_NEEDED) needed.push(textAt(names, view.getUint32(at + 4, true)));
  }
  return needed;
}

function textAt(bytes: Uint8Array, start: number): string {
  const end = bytes.indexOf(0, start);
  return new TextDecoder().decode(bytes.subarray(start, end < 0 ? bytes.length : end));
}
