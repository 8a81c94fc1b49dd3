/**
 * The target's end of the bulk lane: decodes each block as it arrives, writes it into the VM and notes its hashes; one
 * block of memory is held at a time (rules MG7, MG8, MG13).
 */
import { PAGE_SIZE } from '../shared/page.ts';
import { DeviceAssembly } from './device-codec.ts';
import { applyDifference } from './difference.ts';
import { MigrationError } from './migration-error.ts';
import { parseBlock } from './page-codec.ts';
import { PageDigest } from './page-digest.ts';
import type { Compressor, PageHash, TargetVm } from './ports.ts';
import { totalPages } from './ports.ts';

/** Zero pages written in one call. */
const ZERO_PAGES_AT_ONCE = 64;

export class PageSink {
  readonly digest: PageDigest;
  private readonly vm: TargetVm;
  private readonly compressor: Compressor;
  private readonly pageHash: PageHash;
  private readonly pageLimit: number;
  private readonly zeros = new Uint8Array(ZERO_PAGES_AT_ONCE * PAGE_SIZE);
  private readonly zeroHash: bigint;
  private devices: DeviceAssembly;
  private applied = 0;
  private pages = 0;
  private bytes = 0;

  constructor(vm: TargetVm, compressor: Compressor, pageHash: PageHash) {
    this.vm = vm;
    this.devices = new DeviceAssembly(vm.baseDevices());
    this.compressor = compressor;
    this.pageHash = pageHash;
    this.pageLimit = totalPages(vm.space);
    this.digest = new PageDigest(this.pageLimit);
    this.zeroHash = pageHash(this.zeros.subarray(0, PAGE_SIZE));
  }

  /** Messages of the current link applied. */
  get messages(): number {
    return this.applied;
  }

  /** Pages and payload bytes applied, over all links. */
  get totals(): { readonly pages: number; readonly bytes: number } {
    return { pages: this.pages, bytes: this.bytes };
  }

  /** Applies one bulk message. Throws MigrationError('bad-message'). */
  apply(type: 'pages' | 'devices', payload: Uint8Array): void {
    if (type === 'pages') this.applyPages(payload);
    else this.devices.add(payload, this.compressor);
    this.applied++;
    this.bytes += payload.length;
  }

  /** The device state. Throws MigrationError('bad-message') unless exactly `expectedBytes` have come. */
  deviceState(expectedBytes: number): Uint8Array {
    return this.devices.finish(expectedBytes);
  }

  /** Another link took over: its messages count from 0, and the device state is sent again from the start. */
  restart(): void {
    this.applied = 0;
    this.devices = new DeviceAssembly(this.vm.baseDevices());
  }

  private applyPages(payload: Uint8Array): void {
    const { zeros, full, differences, data: sent } = parseBlock(payload, this.pageLimit, this.compressor);
    const data = differences.includes(1) ? this.whole(full, differences, sent) : sent;
    for (let at = 0; at < zeros.length; at += ZERO_PAGES_AT_ONCE) {
      const some = zeros.subarray(at, at + ZERO_PAGES_AT_ONCE);
      this.write(some, this.zeros.subarray(0, some.length * PAGE_SIZE));
    }
    for (const page of zeros) this.digest.set(page, this.zeroHash);
    if (full.length > 0) this.write(full, data);
    for (let index = 0; index < full.length; index++) {
      this.digest.set(full[index] ?? 0, this.pageHash(data.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE)));
    }
    this.pages += zeros.length + full.length;
  }

  /**
   * The pages' full content, from what the target holds and the differences. Throws MigrationError('bad-message') if it
   * does not hold a page that came as a difference.
   */
  private whole(pages: Uint32Array, differences: Uint8Array, sent: Uint8Array): Uint8Array {
    const changed = pages.filter((_, index) => differences[index] === 1);
    const { ramPages, videoPages } = this.vm.space;
    const unknown = changed.find((page) => page >= ramPages + videoPages && !this.digest.has(page));
    if (unknown !== undefined) throw new MigrationError('bad-message', `The source sent page ${unknown} as a difference, and the target does not have it.`);
    const held = new Uint8Array(changed.length * PAGE_SIZE);
    this.vm.readPages(changed, held);
    // A copy, because a message must not be changed.
    const data = sent.slice();
    let at = 0;
    differences.forEach((isDifference, index) => {
      if (isDifference === 1) applyDifference(data.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE), held.subarray(at++ * PAGE_SIZE, at * PAGE_SIZE));
    });
    return data;
  }

  private write(pages: Uint32Array, data: Uint8Array): void {
    try {
      this.vm.writePages(pages, data);
    } catch (error) {
      throw new MigrationError('internal', `Pages could not be written into the VM: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
