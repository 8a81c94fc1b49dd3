/**
 * Adds write tracking to v86.wasm; runs at build time only, the page never loads this file.
 *
 * After the TLB was cleared, every guest write goes through one of two functions first: a write by virtual address
 * needs a TLB entry made by `do_page_walk(for_writing)`, and a write by physical address (accessed/dirty bits of page
 * tables, DMA) calls `jit_dirty_page_ctx`. Each gets a wrapper under its own name, so that all its callers mark:
 *
 *     do_page_walk(addr, for_writing, user, jit, side_effects) -> entry
 *         entry = original(...);  page = ((entry ^ addr) & ~0xFFF) - ramBase >>> 12
 *         if (for_writing && entry != 0 && page <u pageCount) map[page] = 1
 *     jit_dirty_page_ctx(ctx, page)
 *         if (page <u pageCount) map[page] = 1;  original(...)
 *
 * A page beyond RAM belongs to a device and is not marked. The map and its bounds are exported globals
 * (tracking-globals.ts).
 */
import binaryen from 'binaryen';
import { TRACKING_GLOBALS } from '../tracking-globals.ts';

/** The two functions that guest writes pass. */
export type TrackedFunction = 'do_page_walk' | 'jit_dirty_page_ctx';

const { i32, none } = binaryen;

interface Expected {
  readonly params: number;
  readonly result: binaryen.Type;
  /**
   * Calls in v86 0.5.462. Fewer calls would mean that the compiler has inlined the function somewhere, so that writes
   * bypass its wrapper. Then read v86's new sources, run the oracle test, and change the number.
   */
  readonly calls: number;
}

const EXPECTED: Readonly<Record<TrackedFunction, Expected>> = {
  do_page_walk: { params: 5, result: i32, calls: 580 },
  jit_dirty_page_ctx: { params: 2, result: none, calls: 171 },
};

/** Write tracking was made for another v86.wasm than this one. */
export class EmulatorChangedError extends Error {
  override readonly name = 'EmulatorChangedError';

  constructor(what: string) {
    super(
      `v86.wasm is not the one that write tracking knows: ${what}. Install the v86 version that package.json pins, ` +
        'or adapt src/emulator-bridge/build/rewrite-emulator.ts and prove it with the write tracking tests.',
    );
  }
}

/**
 * Returns v86.wasm with write tracking. The same input gives the same bytes. Takes some seconds.
 * `leaveOut` omits one wrapper: only for the test that shows that both are needed.
 * Throws EmulatorChangedError if v86.wasm lacks what is wrapped.
 */
export function rewriteEmulator(stock: Uint8Array, options?: { readonly leaveOut?: TrackedFunction }): Uint8Array {
  const module = parse(stock);
  try {
    for (const global of Object.values(TRACKING_GLOBALS)) {
      module.addGlobal(global, i32, true, module.i32.const(0));
      module.addGlobalExport(global, global);
    }
    const names = findFunctions(module);
    checkCalls(module, names);
    if (options?.leaveOut !== 'do_page_walk') wrapPageWalk(module, names.do_page_walk);
    if (options?.leaveOut !== 'jit_dirty_page_ctx') wrapDirtyPage(module, names.jit_dirty_page_ctx);
    const rewritten = module.emitBinary();
    if (!WebAssembly.validate(rewritten as Uint8Array<ArrayBuffer>)) throw new EmulatorChangedError('the result is not valid');
    return rewritten;
  } finally {
    module.dispose();
  }
}

function parse(stock: Uint8Array): binaryen.Module {
  // binaryen aborts the whole process on garbage, so the engine's own check comes first.
  if (!WebAssembly.validate(stock as Uint8Array<ArrayBuffer>)) throw new EmulatorChangedError('it is not a WebAssembly module');
  return binaryen.readBinary(stock);
}

function findFunctions(module: binaryen.Module): Record<TrackedFunction, string> {
  const found: Record<TrackedFunction, string[]> = { do_page_walk: [], jit_dirty_page_ctx: [] };
  for (let index = 0; index < module.getNumFunctions(); index++) {
    const { name } = binaryen.getFunctionInfo(module.getFunctionByIndex(index));
    for (const wanted of Object.keys(found) as TrackedFunction[]) {
      if (name.endsWith(wanted)) found[wanted].push(name);
    }
  }
  const one = (wanted: TrackedFunction): string => {
    const [name, ...others] = found[wanted];
    if (name === undefined) throw new EmulatorChangedError(`no function is called ${wanted}`);
    if (others.length > 0) throw new EmulatorChangedError(`${others.length + 1} functions are called ${wanted}`);
    const { params, results } = binaryen.getFunctionInfo(module.getFunction(name));
    const expected = EXPECTED[wanted];
    const types = binaryen.expandType(params);
    if (types.length !== expected.params || types.some((type) => type !== i32) || results !== expected.result) {
      throw new EmulatorChangedError(`the parameters or the result of ${wanted} have changed`);
    }
    return name;
  };
  return { do_page_walk: one('do_page_walk'), jit_dirty_page_ctx: one('jit_dirty_page_ctx') };
}

function checkCalls(module: binaryen.Module, names: Record<TrackedFunction, string>): void {
  const text = module.emitText();
  for (const wanted of Object.keys(EXPECTED) as TrackedFunction[]) {
    const calls = text.split(`call $${names[wanted]}\n`).length - 1;
    if (calls !== EXPECTED[wanted].calls) {
      throw new EmulatorChangedError(`${wanted} is called from ${calls} places, not from ${EXPECTED[wanted].calls}`);
    }
  }
}

/** Moves the function to a new name and returns that; the old name is free for a wrapper. */
function moveAside(module: binaryen.Module, name: string): string {
  const { params, results, vars, body } = binaryen.getFunctionInfo(module.getFunction(name));
  const original = `${name}.original`;
  module.addFunction(original, params, results, vars, module.copyExpression(body));
  module.removeFunction(name);
  return original;
}

/** `if (page <u pageCount) map[page] = 1` */
function mark(module: binaryen.Module, page: () => number): number {
  const { mapAddress, pageCount } = TRACKING_GLOBALS;
  return module.if(
    module.i32.lt_u(page(), module.global.get(pageCount, i32)),
    module.i32.store8(0, 1, module.i32.add(module.global.get(mapAddress, i32), page()), module.i32.const(1)),
  );
}

function wrapPageWalk(module: binaryen.Module, name: string): void {
  const [ADDR, FOR_WRITING, , , , ENTRY, PAGE] = [0, 1, 2, 3, 4, 5, 6] as const;
  const original = moveAside(module, name);
  const local = (index: number): number => module.local.get(index, i32);
  const page = module.i32.shr_u(
    module.i32.sub(module.i32.and(module.i32.xor(local(ENTRY), local(ADDR)), module.i32.const(~0xfff)), module.global.get(TRACKING_GLOBALS.ramBase, i32)),
    module.i32.const(12),
  );
  const body = module.block(
    null,
    [
      module.local.set(ENTRY, module.call(original, [0, 1, 2, 3, 4].map(local), i32)),
      module.if(
        module.i32.and(module.i32.ne(local(FOR_WRITING), module.i32.const(0)), module.i32.ne(local(ENTRY), module.i32.const(0))),
        module.block(null, [module.local.set(PAGE, page), mark(module, () => local(PAGE))]),
      ),
      local(ENTRY),
    ],
    i32,
  );
  module.addFunction(name, binaryen.createType([i32, i32, i32, i32, i32]), i32, [i32, i32], body);
}

function wrapDirtyPage(module: binaryen.Module, name: string): void {
  const [CTX, PAGE] = [0, 1] as const;
  const original = moveAside(module, name);
  const local = (index: number): number => module.local.get(index, i32);
  const body = module.block(null, [mark(module, () => local(PAGE)), module.call(original, [local(CTX), local(PAGE)], none)]);
  module.addFunction(name, binaryen.createType([i32, i32]), none, [], body);
}
