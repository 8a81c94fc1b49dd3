/**
 * Checks write tracking: it copies all of a machine's memory, lets the guest work, compares every page, and requires
 * that each changed page was reported as dirty. Works in Node and in a worker.
 */
import { Bitmap } from '../../shared/bitmap.ts';
import { PAGE_SIZE } from '../../shared/page.ts';
import { totalPages } from '../../migration/ports.ts';
import type { Machine } from '../machine.ts';

/** Pages copied in one go. */
const BATCH = 1024;

export interface OracleVerdict {
  /** Pages whose content is another than at the start. */
  readonly changed: number;
  /** Pages reported as written. */
  readonly dirty: number;
  /** Pages that changed and were not reported; must be empty. In the machine's PageSpace. */
  readonly missed: readonly number[];
  /** How often the dirty log was taken in between. */
  readonly intervals: number;
}

export class WriteOracle {
  private readonly machine: Machine;
  private readonly before: ReadonlyMap<number, Uint8Array> | null;
  private readonly memory: Uint8Array;
  private readonly reported: Bitmap;
  private intervals = 0;

  private constructor(machine: Machine, memory: Uint8Array, overlay: ReadonlyMap<number, Uint8Array>) {
    this.machine = machine;
    this.memory = memory;
    this.before = overlay;
    this.reported = new Bitmap(totalPages(machine.space));
  }

  /** Starts the dirty log and copies the memory. The machine must be stopped. */
  static async start(machine: Machine): Promise<WriteOracle> {
    await machine.startDirtyLog();
    return new WriteOracle(machine, readFixed(machine), readOverlay(machine));
  }

  /** Takes the dirty log; at any time, as often as you like. */
  async nextInterval(): Promise<void> {
    this.reported.addAll(await this.machine.takeDirty());
    this.intervals++;
  }

  /** Compares. The machine must be stopped. */
  async judge(): Promise<OracleVerdict> {
    await this.nextInterval();
    const { machine, memory } = this;
    const changed: number[] = [];
    const after = readFixed(machine);
    const fixedPages = after.length / PAGE_SIZE;
    for (let page = 0; page < fixedPages; page++) {
      if (!samePage(memory, after, page * PAGE_SIZE)) changed.push(page);
    }
    for (const [page, content] of readOverlay(machine)) {
      const old = this.before?.get(page);
      if (old === undefined || !samePage(old, content, 0)) changed.push(page);
    }
    return {
      changed: changed.length,
      dirty: this.reported.count(),
      missed: changed.filter((page) => !this.reported.has(page)),
      intervals: this.intervals,
    };
  }
}

/** Pages of RAM and video memory that differ between two machines of one configuration, and blocks that differ or that only one has. */
export function differingPages(left: Machine, right: Machine): number[] {
  const [one, other] = [readFixed(left), readFixed(right)];
  const differing: number[] = [];
  for (let page = 0; page < one.length / PAGE_SIZE; page++) {
    if (!samePage(one, other, page * PAGE_SIZE)) differing.push(page);
  }
  const [blocks, otherBlocks] = [readOverlay(left), readOverlay(right)];
  for (const page of new Set([...blocks.keys(), ...otherBlocks.keys()])) {
    const [a, b] = [blocks.get(page), otherBlocks.get(page)];
    if (a === undefined || b === undefined || !samePage(a, b, 0)) differing.push(page);
  }
  return differing;
}

/** RAM and video memory, one behind the other. */
function readFixed(machine: Machine): Uint8Array {
  const pages = machine.space.ramPages + machine.space.videoPages;
  const memory = new Uint8Array(pages * PAGE_SIZE);
  for (let first = 0; first < pages; first += BATCH) {
    const count = Math.min(BATCH, pages - first);
    const numbers = Uint32Array.from({ length: count }, (_, index) => first + index);
    machine.readPages(numbers, memory.subarray(first * PAGE_SIZE, (first + count) * PAGE_SIZE));
  }
  return memory;
}

function readOverlay(machine: Machine): Map<number, Uint8Array> {
  const firstBlock = machine.space.ramPages + machine.space.videoPages;
  const blocks = new Map<number, Uint8Array>();
  for (const page of machine.differsFromBase()) {
    if (page < firstBlock) continue;
    const content = new Uint8Array(PAGE_SIZE);
    machine.readPages(Uint32Array.of(page), content);
    blocks.set(page, content);
  }
  return blocks;
}

function samePage(left: Uint8Array, right: Uint8Array, at: number): boolean {
  const words = PAGE_SIZE / 4;
  const a = new Int32Array(left.buffer, left.byteOffset + at, words);
  const b = new Int32Array(right.buffer, right.byteOffset + at, words);
  for (let word = 0; word < words; word++) if (a[word] !== b[word]) return false;
  return true;
}
