import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkV86Shape, readV86State, withLongInfo, type V86Shape } from './v86-state-format.ts';

/** Puts a state together as v86's state.js does. */
function v86State(state: unknown[], buffers: Uint8Array[] = [], change: (header: DataView, info: Uint8Array) => void = () => undefined): Uint8Array {
  let offset = 0;
  const infos = buffers.map((buffer) => {
    const at = offset;
    offset = (offset + buffer.length + 3) & ~3;
    return { offset: at, length: buffer.length };
  });
  const info = new TextEncoder().encode(JSON.stringify({ buffer_infos: infos, state }));
  const start = (16 + info.length + 3) & ~3;
  const bytes = new Uint8Array(start + offset);
  bytes.set(info, 16);
  buffers.forEach((buffer, index) => bytes.set(buffer, start + (infos[index]?.offset ?? 0)));
  const header = new DataView(bytes.buffer);
  [0x86768676, 6, bytes.length, info.length].forEach((value, index) => header.setUint32(index * 4, value, true));
  change(header, bytes.subarray(16, 16 + info.length));
  return bytes;
}

const typed = (id: number, kind = 'Uint8Array') => ({ __state_type__: kind, buffer_id: id });
const refused = { name: 'MachineError', code: 'state-invalid' };

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toMatchObject(refused);
    return (error as Error).message;
  }
  throw new Error('It was accepted');
}

describe('withLongInfo', () => {
  it('keeps the state, and puts the buffers of states where digits are added in one place', () => {
    const [one, other] = [[7], [7777777]].map((numbers) => v86State([...numbers, typed(0), typed(1)], [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5)])) as [
      Uint8Array,
      Uint8Array,
    ];
    const [long, longOther] = [withLongInfo(one), withLongInfo(other)];
    expect(long.length).toBe(longOther.length);
    expect(readV86State(long)).toEqual(readV86State(one));
    expect([...long.subarray(-8)]).toEqual([1, 2, 3, 0, 4, 5, 0, 0]);
    expect([...longOther.subarray(-8)]).toEqual([1, 2, 3, 0, 4, 5, 0, 0]);
  });
});

describe('readV86State', () => {
  it('tells numbers, arrays and the kind and size of buffers apart', () => {
    const state = v86State([1, null, ['x', true], typed(0), typed(1, 'Int32Array')], [new Uint8Array(3), new Uint8Array(8)]);
    expect(readV86State(state)).toEqual([1, null, ['x', true], { kind: 'Uint8Array', bytes: 3 }, { kind: 'Int32Array', bytes: 8 }]);
  });

  it('refuses another magic number', () => expect(refusal(() => readV86State(v86State([], [], (header) => header.setUint32(0, 1))))).toMatch(/does not begin/));
  it('refuses another version', () =>
    expect(refusal(() => readV86State(v86State([], [], (header) => header.setUint32(4, 7, true))))).toMatch(/format 7, not 6/));
  it('refuses a wrong length', () => expect(refusal(() => readV86State(v86State([], [], (header) => header.setUint32(8, 5, true))))).toMatch(/length/));
  it('refuses a description that goes beyond the end', () =>
    expect(refusal(() => readV86State(v86State([], [], (header) => header.setUint32(12, 1e6, true))))).toMatch(/cut off/));
  it('refuses a description that is not JSON', () => expect(refusal(() => readV86State(v86State([], [], (_, info) => info.fill(0x20))))).toMatch(/damaged/));
  it('refuses a buffer that goes beyond the end', () => {
    const state = v86State([typed(0)], [new Uint8Array(8)]);
    const shorter = state.slice(0, state.length - 4);
    new DataView(shorter.buffer).setUint32(8, shorter.length, true);
    expect(refusal(() => readV86State(shorter))).toMatch(/buffers is cut off/);
  });
  it('refuses a reference to a buffer that is not there', () =>
    expect(refusal(() => readV86State(v86State([typed(1)], [new Uint8Array(4)])))).toMatch(/missing/));
  it('refuses an object that v86 would not write', () => expect(refusal(() => readV86State(v86State([{ x: 1 }])))).toMatch(/damaged/));

  it('refuses garbage, and never with another kind of error', () => {
    const good = v86State([1, [typed(0)]], [new Uint8Array(5)]);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 5 }), (changes) => {
        const bytes = good.slice();
        for (const [at, value] of changes) bytes[at] = value;
        try {
          readV86State(bytes);
        } catch (error) {
          expect(error).toMatchObject(refused);
        }
      }),
    );
  });
});

describe('checkV86Shape', () => {
  /** A state with the fields whose meaning the check knows. */
  const shape = (change: (fields: unknown[]) => void = () => undefined): V86Shape => {
    const fields: unknown[] = Array.from({ length: 90 }, () => null);
    fields[0] = 134217728;
    fields[10] = { kind: 'Int32Array', bytes: 32 };
    fields[52] = [2097152, 1, { kind: 'Uint8Array', bytes: 16 }];
    fields[62] = [];
    fields[80] = null;
    fields[85] = [[{ kind: 'Uint8Array', bytes: 65536 }, 3]];
    change(fields);
    return fields as V86Shape;
  };

  it('accepts other values, another firmware answer and other disk transfers', () => {
    const incoming = shape((fields) => {
      fields[62] = { kind: 'Uint8Array', bytes: 4 };
      fields[85] = [[{ kind: 'Uint8Array', bytes: 512 }, 4]];
      fields[52] = [2097152, 9, { kind: 'Uint8Array', bytes: 16 }];
    });
    expect(() => checkV86Shape(incoming, shape())).not.toThrow();
  });

  it('refuses a screen that no emulated card has', () => {
    const wide = Array.from({ length: 20 }, () => 80);
    const own = shape((fields) => (fields[52] = [2097152, ...wide]));
    expect(() => checkV86Shape(own, own)).not.toThrow();
    const incoming = shape((fields) => (fields[52] = [2097152, ...wide.map((value, index) => (index === 3 ? 1e9 : value))]));
    expect(refusal(() => checkV86Shape(incoming, own))).toMatch(/screen is 1000000000/);
  });

  it.each<[string, (fields: unknown[]) => void]>([
    ['another memory size', (fields) => (fields[0] = 268435456)],
    ['another video memory size', (fields) => (fields[52] = [4194304, 1, { kind: 'Uint8Array', bytes: 16 }])],
    ['a device that this machine has not', (fields) => (fields[80] = [1])],
    ['a device missing', (fields) => (fields[85] = null)],
    ['a register file of another size', (fields) => (fields[10] = { kind: 'Int32Array', bytes: 64 })],
    ['a register file of another kind', (fields) => (fields[10] = { kind: 'Uint8Array', bytes: 32 })],
    ['an array of another length', (fields) => (fields[52] = [2097152, 1])],
    ['a text for a number', (fields) => (fields[0] = '134217728')],
    ['more fields', (fields) => fields.push(1)],
  ])('refuses %s', (_, damage) => {
    expect(refusal(() => checkV86Shape(shape(damage), shape()))).toMatch(/other devices or another memory size/);
  });
});
