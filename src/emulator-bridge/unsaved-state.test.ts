/** The list of what v86 does not save (testing/unsaved-state.ts) against v86 itself: nothing more, nothing less. */
import { VirtualHost } from './testing/virtual-time.ts';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { beforeAll, describe, expect, it } from 'vitest';
import { rewriteEmulator } from './build/rewrite-emulator.ts';
import { prepareBareMetal } from './testing/bare-metal.ts';
import { loadGuestParts } from './testing/guest-parts.ts';
import { startPc, type TwinPc } from './testing/twin.ts';
import { GLOBALS, REGISTERS, STACK, STATICS, STATICS_BEGIN, UNSAVED_FIELDS, type Piece } from './testing/unsaved-state.ts';
import { objectsOf, type V86Kind } from './testing/v86-objects.ts';
import { readWasmCode, type WasmCode } from './testing/wasm-code.ts';
import { TRACKING_GLOBALS } from './tracking-globals.ts';
import { V86_VERSION } from './v86-version.ts';

/** The sources that were read for the list. Variables inside functions are not visible from outside, so a new v86 must be read again. */
const READ = {
  version: '0.5.462',
  'libv86.mjs': '581c169db27daad9d64679bd117f4a90c37c23c6ad9e660b7e89ee731eb2a446',
  'v86.wasm': 'aa0d0e149d6b60063b85de4871e78505637ce92821e14a9f9802c4008ba2336e',
};
const REGISTER_BYTES = 4096;

/** The names of the members that an object's own method reads and writes. */
interface Touched {
  readonly read: Set<string>;
  readonly written: Set<string>;
}

type Stateful = Record<string, unknown> & { get_state?: () => unknown; set_state?: (state: unknown) => void };

/** `object`, but it writes down which of its members are used. */
function watched(object: Stateful, touched: Touched): Stateful {
  return new Proxy(object, {
    get(target, name) {
      if (typeof name === 'string') touched.read.add(name);
      return Reflect.get(target, name) as unknown;
    },
    set(target, name, value) {
      if (typeof name === 'string') touched.written.add(name);
      return Reflect.set(target, name, value);
    },
  });
}

/** An object without the method saves and restores nothing. */
function stockMethod(object: Stateful, name: 'get_state' | 'set_state'): (this: Stateful, state?: unknown) => unknown {
  const found = (Object.getPrototypeOf(object) as Record<string, unknown>)[name];
  return typeof found === 'function' ? (found as (this: Stateful, state?: unknown) => unknown) : () => undefined;
}

describe('the list of what v86 does not save', () => {
  const emulator = loadGuestParts()?.emulator ?? rewriteEmulator(library('v86.wasm'));
  let pc: TwinPc;
  let code: WasmCode;
  beforeAll(async () => {
    const bare = prepareBareMetal(emulator);
    pc = await startPc(new VirtualHost(1000, 1 / 16), bare.parts(bare.emulator, 'small_devices'));
    code = readWasmCode(emulator);
  });

  it('was made for this v86', () => {
    expect({ version: V86_VERSION, 'libv86.mjs': sha256(library('libv86.mjs')), 'v86.wasm': sha256(library('v86.wasm')) }).toEqual(READ);
  });

  it('has every device, and none that is not there', () => {
    const kinds = new Set(objectsOf(pc.cpu).map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(
      Object.keys(UNSAVED_FIELDS)
        .filter((kind) => kind !== 'absent')
        .sort(),
    );
  });

  it('has every field of the CPU and its devices that get_state does not name or set_state does not set', async () => {
    const objects = objectsOf(pc.cpu).map(({ kind, object }) => ({ kind, object: object, saved: touched(), restored: touched() }));
    const stocks = new Map<Stateful, (this: Stateful, state: unknown) => unknown>();
    for (const { object, saved } of objects) {
      stockMethod(object, 'get_state').call(watched(object, saved));
      const prototype = Object.getPrototypeOf(object) as Stateful;
      if (stocks.has(prototype) || prototype.set_state === undefined) continue;
      const stock = stockMethod(object, 'set_state');
      stocks.set(prototype, stock);
      prototype.set_state = function (this: Stateful, state: unknown): void {
        const one = objects.find(({ object: candidate }) => candidate === this);
        stock.call(one === undefined ? this : watched(this, one.restored), state);
      };
    }
    try {
      await pc.host.at(async () => pc.machine.restoreDevices(await pc.machine.saveDevices()));
    } finally {
      for (const [prototype, stock] of stocks) prototype.set_state = stock;
    }
    const missing = new Map<V86Kind, Set<string>>();
    for (const { kind, object, saved, restored } of objects) {
      const fields = missing.get(kind) ?? new Set<string>();
      missing.set(kind, fields);
      for (const [name, value] of Object.entries(object)) {
        const isState = typeof value !== 'function' || isView(value);
        if (isState && !(saved.read.has(name) && (restored.read.has(name) || restored.written.has(name)))) fields.add(name);
      }
    }
    const sorted = (fields: Iterable<string>): string[] => [...fields].sort();
    const found = Object.fromEntries([...missing].map(([kind, fields]) => [kind, sorted(fields)]));
    expect(found).toEqual(Object.fromEntries([...missing.keys()].map((kind) => [kind, sorted(Object.keys(UNSAVED_FIELDS[kind]))])));
  });

  it('has every global of v86.wasm that can be written', () => {
    // The rewritten module has no names for them; those it adds are exported.
    const names = [...readWasmCode(library('v86.wasm')).globals, ...Object.values(TRACKING_GLOBALS)];
    expect(names.sort()).toEqual(Object.keys(GLOBALS).sort());
    expect(code.globals.length).toBe(names.length);
  });

  it("has every variable in v86.wasm's memory that the code writes, and each is used", () => {
    const places = code.uses.filter(({ offset }) => offset >= STATICS_BEGIN && offset < STACK.end);
    expect(
      placesOutside(
        places.filter(({ kind }) => kind === 'store').map(({ offset }) => offset),
        STATICS,
      ),
    ).toEqual([]);
    expect(
      unused(
        STATICS,
        places.map(({ offset }) => offset),
      ),
    ).toEqual([]);
    expect(overlapping(STATICS)).toEqual([]);
  });

  it('has every register that the code reads, and each is used', () => {
    const places = code.uses.filter(({ offset, absolute }) => absolute && offset < REGISTER_BYTES).map(({ offset }) => offset);
    expect(places.length).toBeGreaterThan(1000);
    expect(placesOutside(places, REGISTERS)).toEqual([]);
    expect(
      unused(
        REGISTERS,
        code.uses.map(({ offset }) => offset),
      ),
    ).toEqual([]);
    expect(overlapping(REGISTERS)).toEqual([]);
  });

  it("calls saved what v86's own state has", () => {
    // The registers' views are at the places in the list, and get_state reads them.
    const read = touched();
    stockMethod(pc.cpu as unknown as Stateful, 'get_state').call(watched(pc.cpu as unknown as Stateful, read));
    const views = [...read.read].map((name) => (pc.cpu as unknown as Record<string, unknown>)[name]).filter(isView);
    const covered = views.map((view) => view.byteOffset);
    const missing = REGISTERS.filter(({ becomes, at }) => becomes === 'carried' && !covered.includes(at)).map(({ name }) => name);
    expect(missing).toEqual([]);
  });
});

function touched(): Touched {
  return { read: new Set(), written: new Set() };
}

/** v86's views of its registers are typed arrays that look like functions. */
function isView(value: unknown): value is Uint8Array {
  return (typeof value === 'object' || typeof value === 'function') && value !== null && typeof (value as { byteOffset?: unknown }).byteOffset === 'number';
}

function placesOutside(places: Iterable<number>, pieces: readonly Piece[]): number[] {
  return [...new Set(places)].filter((place) => !pieces.some(({ at, bytes }) => place >= at && place < at + bytes)).sort((a, b) => a - b);
}

function unused(pieces: readonly Piece[], places: readonly number[]): string[] {
  return pieces.filter(({ at, bytes }) => !places.some((place) => place >= at && place < at + bytes)).map(({ name }) => name);
}

function overlapping(pieces: readonly Piece[]): string[] {
  return pieces.filter(({ at }, index) => index > 0 && at < (pieces[index - 1]?.at ?? 0) + (pieces[index - 1]?.bytes ?? 0)).map(({ name }) => name);
}

function library(file: string): Uint8Array {
  return new Uint8Array(readFileSync(createRequire(import.meta.url).resolve(`v86/build/${file}`)));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
