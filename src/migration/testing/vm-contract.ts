/** What a VM promises to the engine (SourceVm and TargetVm of ports.ts), as tests that each kind of VM runs. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Bitmap } from '../../shared/bitmap.ts';
import { PAGE_SIZE } from '../../shared/page.ts';
import type { PageSpace, SourceVm, TargetVm } from '../ports.ts';
import { totalPages } from '../ports.ts';

export interface VmUnderTest {
  /** Runs, and has written since its base snapshot. */
  readonly source: SourceVm;
  /** Built from the same base snapshot, stopped. */
  readonly target: TargetVm;
  /** Lets the guest of the VM that runs write into RAM, video memory and disk for a while. */
  letGuestWrite(): Promise<void>;
  /** Resolves with what `promise` does, while the world goes on. */
  settled<T>(promise: Promise<T>): Promise<T>;
  dispose(): void | Promise<void>;
}

/** Declares the suite. `make` gives fresh VMs for every test. */
export function describeVmContract(name: string, make: () => VmUnderTest | Promise<VmUnderTest>): void {
  describe(`${name} keeps the promises of a VM`, () => {
    let vm: VmUnderTest;
    beforeEach(async () => {
      vm = await make();
    });
    afterEach(() => vm.dispose());

    it('has the same fingerprint and page numbers at source and target', () => {
      expect(vm.target.fingerprint).toEqual(vm.source.fingerprint);
      expect(vm.target.space).toEqual(vm.source.space);
    });

    it('names every page that differs from a fresh copy of the base (MG11)', async () => {
      await vm.settled(vm.source.pause());
      const differs = vm.source.differsFromBase();
      expect(changed(everything(vm.source), everything(vm.target), vm.source.space).filter((page) => !differs.has(page))).toEqual([]);
    });

    it('knows the pages of the base snapshot (MG12)', async () => {
      await vm.settled(vm.source.pause());
      const { ramPages, videoPages } = vm.target.space;
      const fresh = everything(vm.target);
      const zero = new Uint8Array(PAGE_SIZE);
      const others: number[] = [];
      let known = 0;
      for (let page = 0; page < ramPages + videoPages; page++) {
        const base = vm.source.basePage(page);
        if (base !== null) known++;
        if (Buffer.compare(base ?? zero, fresh.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE)) !== 0) others.push(page);
      }
      expect(others).toEqual([]);
      expect(known).toBeGreaterThan(0);
      expect(vm.source.basePage(ramPages + videoPages)).toBeNull();
    });

    it('reports every page written since the dirty log was started, and what is written later when it is taken next (MG11)', async () => {
      await vm.settled(vm.source.startDirtyLog());
      for (let time = 0; time < 4; time++) {
        const before = everything(vm.source);
        await vm.letGuestWrite();
        const beforeTaking = everything(vm.source);
        const dirty = await vm.settled(vm.source.takeDirty());
        expect(changed(before, beforeTaking, vm.source.space).filter((page) => !dirty.has(page))).toEqual([]);
      }
    });

    it('reports what was written before it stopped, also when asked afterwards', async () => {
      await vm.settled(vm.source.startDirtyLog());
      const before = everything(vm.source);
      await vm.letGuestWrite();
      await vm.settled(vm.source.pause());
      await vm.settled(vm.source.drainDisk());
      const dirty = await vm.settled(vm.source.takeDirty());
      expect(changed(before, everything(vm.source), vm.source.space).filter((page) => !dirty.has(page))).toEqual([]);
      expect((await vm.settled(vm.source.takeDirty())).count()).toBe(0);
    });

    it('writes nothing while it is stopped', async () => {
      await vm.settled(vm.source.startDirtyLog());
      await vm.settled(vm.source.pause());
      await vm.settled(vm.source.drainDisk());
      const before = everything(vm.source);
      await vm.letGuestWrite();
      expect(changed(before, everything(vm.source), vm.source.space)).toEqual([]);
    });

    it('reads pages in the order asked for', () => {
      const pages = Uint32Array.of(3, 1, 2, 0);
      const read = new Uint8Array(pages.length * PAGE_SIZE);
      vm.target.readPages(pages, read);
      const all = everything(vm.target);
      pages.forEach((page, index) =>
        expect(Buffer.compare(read.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE), all.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE))).toBe(0),
      );
    });

    it('goes on where it stood after pause and resume', async () => {
      await vm.settled(vm.source.startDirtyLog());
      await vm.settled(vm.source.pause());
      await vm.settled(vm.source.drainDisk());
      await vm.settled(vm.source.saveDevices());
      await vm.settled(vm.source.resume());
      await vm.letGuestWrite();
      expect((await vm.settled(vm.source.takeDirty())).count()).toBeGreaterThan(0);
      vm.source.stopDirtyLog();
    });

    it('can be slowed down and let go again, and stops a dirty log that was started', async () => {
      vm.source.throttle(0.2);
      await vm.settled(vm.source.startDirtyLog());
      vm.source.stopDirtyLog();
      vm.source.throttle(1);
      await vm.settled(vm.source.startDirtyLog());
      await vm.letGuestWrite();
      expect((await vm.settled(vm.source.takeDirty())).count()).toBeGreaterThan(0);
    });

    it('lives on in its copy: pages and devices make the target the same machine (I3)', async () => {
      await vm.settled(vm.source.startDirtyLog());
      copy(vm.source, vm.target, vm.source.differsFromBase());
      await vm.letGuestWrite();
      await vm.settled(vm.source.pause());
      await vm.settled(vm.source.drainDisk());
      copy(vm.source, vm.target, await vm.settled(vm.source.takeDirty()));
      await vm.settled(vm.target.restoreDevices(await vm.settled(vm.source.saveDevices())));
      expect(changed(everything(vm.source), everything(vm.target), vm.source.space)).toEqual([]);
      const missing = [...vm.source.differsFromBase()].filter((page) => !vm.target.differsFromBase().has(page));
      expect(missing).toEqual([]);
      vm.source.discard();
      await vm.settled(vm.target.run(5));
      await vm.settled(vm.target.alive());
      const before = everything(vm.target);
      await vm.letGuestWrite();
      expect(changed(before, everything(vm.target), vm.target.space)).not.toEqual([]);
    });

    it('may be discarded more than once', () => {
      vm.target.discard();
      vm.target.discard();
      vm.source.discard();
      vm.source.discard();
    });
  });
}

interface Readable {
  readonly space: PageSpace;
  readPages(pages: Uint32Array, into: Uint8Array): void;
  differsFromBase(): Bitmap;
}

/** All of memory and the written part of the disk; the rest of the disk, which nobody can read from a VM, is zero. */
function everything(vm: Readable): Uint8Array {
  const { ramPages, videoPages } = vm.space;
  const all = new Uint8Array(totalPages(vm.space) * PAGE_SIZE);
  const memory = Uint32Array.from({ length: ramPages + videoPages }, (_, page) => page);
  vm.readPages(memory, all.subarray(0, memory.length * PAGE_SIZE));
  for (const page of vm
    .differsFromBase()
    .toArray()
    .filter((page) => page >= memory.length)) {
    vm.readPages(Uint32Array.of(page), all.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE));
  }
  return all;
}

function changed(before: Uint8Array, after: Uint8Array, space: PageSpace): number[] {
  const pages: number[] = [];
  for (let page = 0; page < totalPages(space); page++) {
    const at = page * PAGE_SIZE;
    if (Buffer.compare(before.subarray(at, at + PAGE_SIZE), after.subarray(at, at + PAGE_SIZE)) !== 0) pages.push(page);
  }
  return pages;
}

function copy(from: SourceVm, to: TargetVm, pages: Bitmap): void {
  const numbers = pages.toArray();
  const data = new Uint8Array(numbers.length * PAGE_SIZE);
  from.readPages(numbers, data);
  to.writePages(numbers, data);
}
