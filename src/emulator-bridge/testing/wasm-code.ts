/**
 * Reads the code of a WebAssembly module far enough to find the memory addresses it names: LLVM accesses a variable of
 * the program with `i32.const 0; i32.load offset=PLACE`, or through a constant pointer.
 */

interface MemoryUse {
  readonly kind: 'load' | 'store';
  /** The constant part of the address. */
  readonly offset: number;
  /** The offset is the whole address: `i32.const 0` comes just before. Only set for loads. */
  readonly absolute: boolean;
}

export interface WasmCode {
  readonly uses: readonly MemoryUse[];
  /** Names of the globals that can be written, or their numbers if they have no name. */
  readonly globals: readonly string[];
}

const SECTION = { custom: 0, global: 6, code: 10 } as const;
const GLOBAL_NAMES = 7;
const MUTABLE = 1;

/** Throws Error for an instruction that it does not know. */
export function readWasmCode(bytes: Uint8Array): WasmCode {
  const reader = new Reader(bytes, 8);
  const uses: MemoryUse[] = [];
  const names = new Map<number, string>();
  let mutable: number[] = [];
  while (reader.at < bytes.length) {
    const section = reader.byte();
    const length = reader.unsigned();
    const end = reader.at + length;
    if (section === SECTION.code) readFunctions(reader, uses);
    if (section === SECTION.global) mutable = readGlobals(reader);
    if (section === SECTION.custom && reader.text() === 'name') readGlobalNames(reader, end, names);
    reader.at = end;
  }
  return { uses, globals: mutable.map((index) => names.get(index) ?? `global ${index}`) };
}

function readGlobals(reader: Reader): number[] {
  const mutable: number[] = [];
  const count = reader.unsigned();
  for (let index = 0; index < count; index++) {
    reader.byte();
    if (reader.byte() === MUTABLE) mutable.push(index);
    // Its first value: one constant, and the end.
    if (reader.byte() !== 0x41) throw new Error('A global is not a 32-bit number.');
    reader.unsigned();
    if (reader.byte() !== 0x0b) throw new Error('A global does not begin with a constant.');
  }
  return mutable;
}

function readGlobalNames(reader: Reader, end: number, names: Map<number, string>): void {
  while (reader.at < end) {
    const kind = reader.byte();
    const length = reader.unsigned();
    const next = reader.at + length;
    if (kind === GLOBAL_NAMES) {
      const count = reader.unsigned();
      for (let entry = 0; entry < count; entry++) {
        const index = reader.unsigned();
        names.set(index, reader.text());
      }
    }
    reader.at = next;
  }
}

function readFunctions(reader: Reader, uses: MemoryUse[]): void {
  const count = reader.unsigned();
  for (let index = 0; index < count; index++) {
    const length = reader.unsigned();
    const end = reader.at + length;
    const groups = reader.unsigned();
    for (let group = 0; group < groups; group++) {
      reader.unsigned();
      reader.byte();
    }
    let zero = false;
    while (reader.at < end) {
      const opcode = reader.byte();
      if (opcode === 0x41) {
        zero = reader.unsigned() === 0;
        continue;
      }
      const use = readInstruction(reader, opcode);
      if (use !== null) uses.push({ ...use, absolute: zero && use.kind === 'load' });
      zero = false;
    }
    if (reader.at !== end) throw new Error(`Function ${index} was not understood.`);
  }
}

/** Skips one instruction; returns what it does with memory. */
function readInstruction(reader: Reader, opcode: number): Omit<MemoryUse, 'absolute'> | null {
  const memory = (kind: MemoryUse['kind']): Omit<MemoryUse, 'absolute'> => {
    reader.unsigned();
    return { kind, offset: reader.unsigned() };
  };
  if (opcode >= 0x28 && opcode <= 0x3e) return memory(opcode >= 0x36 ? 'store' : 'load');
  switch (opcode) {
    // Blocks: their type.
    case 0x02:
    case 0x03:
    case 0x04:
      reader.unsigned();
      return null;
    // Branches, calls, variables, constants.
    case 0x0c:
    case 0x0d:
    case 0x10:
    case 0x20:
    case 0x21:
    case 0x22:
    case 0x23:
    case 0x24:
    case 0x42:
      reader.unsigned();
      return null;
    case 0x11:
      reader.unsigned();
      reader.unsigned();
      return null;
    case 0x0e:
      for (let rest = reader.unsigned() + 1; rest > 0; rest--) reader.unsigned();
      return null;
    case 0x3f:
    case 0x40:
      reader.at += 1;
      return null;
    case 0x43:
      reader.at += 4;
      return null;
    case 0x44:
      reader.at += 8;
      return null;
    case 0x1c:
      reader.at += reader.unsigned();
      return null;
    case 0xfc:
      return bulk(reader);
    case 0xfd:
      return vector(reader, memory);
    default:
      if (opcode <= 0x01 || opcode === 0x05 || opcode === 0x0b || opcode === 0x0f || opcode === 0x1a || opcode === 0x1b || (opcode >= 0x45 && opcode <= 0xc4))
        return null;
      throw new Error(`The instruction 0x${opcode.toString(16)} is not known.`);
  }
}

function bulk(reader: Reader): null {
  const operation = reader.unsigned();
  if (operation === 10) reader.at += 2;
  else if (operation === 11) reader.at += 1;
  else if (operation > 7) throw new Error(`The instruction 0xfc ${operation} is not known.`);
  return null;
}

function vector(reader: Reader, memory: (kind: MemoryUse['kind']) => Omit<MemoryUse, 'absolute'>): Omit<MemoryUse, 'absolute'> | null {
  const operation = reader.unsigned();
  if (operation <= 10 || operation === 92 || operation === 93) return memory('load');
  if (operation === 11) return memory('store');
  if (operation === 12 || operation === 13) reader.at += 16;
  if (operation >= 21 && operation <= 34) reader.at += 1;
  if (operation >= 84 && operation <= 91) {
    const use = memory(operation >= 88 ? 'store' : 'load');
    reader.at += 1;
    return use;
  }
  return null;
}

class Reader {
  at: number;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    return this.bytes[this.at++] ?? 0;
  }

  /** A LEB128 number of up to 32 bits; of longer or signed ones only where they end is right. */
  unsigned(): number {
    let [value, shift] = [0, 0];
    for (;;) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      shift += 7;
      if (byte < 0x80) return value >>> 0;
    }
  }

  text(): string {
    const length = this.unsigned();
    this.at += length;
    return new TextDecoder().decode(this.bytes.subarray(this.at - length, this.at));
  }
}
