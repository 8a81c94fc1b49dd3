/** RAM, video memory and the disk's overlay as pages of one PageSpace (migration/ports.ts). */
import { PAGE_SIZE } from '../shared/page.ts';
import { Bitmap } from '../shared/bitmap.ts';
import { totalPages, type PageSpace } from '../migration/ports.ts';
import type { OverlayDisk } from './overlay-disk.ts';
import type { V86Cpu } from './v86-api.ts';
import { VIDEO_PAGES, VideoMemory } from './video-memory.ts';
import type { WriteTracking } from './write-tracking.ts';

/** The BIOS ends here; v86 writes nothing above it before the first instruction. */
const FIRMWARE_END = 0x10_0000;

export class GuestMemory {
  readonly space: PageSpace;
  private readonly cpu: V86Cpu;
  private readonly video: VideoMemory;
  private readonly overlay: OverlayDisk;
  private readonly tracking: WriteTracking;
  /** RAM and video pages that may differ from the base snapshot; the overlay knows its own blocks. */
  private readonly differing: Bitmap;
  /** Video pages changed since the dirty log was started or taken. */
  private readonly videoDirty: Bitmap;
  private logging = false;

  constructor(cpu: V86Cpu, overlay: OverlayDisk, tracking: WriteTracking) {
    this.cpu = cpu;
    this.overlay = overlay;
    this.tracking = tracking;
    this.video = new VideoMemory(cpu);
    this.space = {
      ramPages: (cpu.memory_size[0] ?? 0) / PAGE_SIZE,
      videoPages: VIDEO_PAGES,
      diskPages: overlay.byteLength / PAGE_SIZE,
    };
    this.differing = new Bitmap(totalPages(this.space));
    this.videoDirty = new Bitmap(totalPages(this.space));
  }

  /** Copies pages into `into`, in the order given. Throws RangeError for a page outside or a wrong length. */
  readPages(pages: Uint32Array, into: Uint8Array): void {
    this.checkLength(pages, into);
    const ram = this.ram();
    const { ramPages, videoPages } = this.space;
    for (let index = 0; index < pages.length; index++) {
      const page = this.checked(pages[index]);
      const at = index * PAGE_SIZE;
      if (page < ramPages) {
        into.set(ram.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE), at);
        continue;
      }
      const target = into.subarray(at, at + PAGE_SIZE);
      if (page < ramPages + videoPages) this.video.read(page - ramPages, target);
      else this.overlay.readBlock(page - ramPages - videoPages, target);
    }
  }

  /**
   * Writes pages; they differ from the base from now on. Only while the CPU is stopped, and the caller clears v86's
   * TLB and compiled code before it runs again.
   */
  writePages(pages: Uint32Array, data: Uint8Array): void {
    this.checkLength(pages, data);
    const ram = this.ram();
    const { ramPages, videoPages } = this.space;
    for (let index = 0; index < pages.length; index++) {
      const page = this.checked(pages[index]);
      const source = data.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE);
      if (page < ramPages) ram.set(source, page * PAGE_SIZE);
      else if (page < ramPages + videoPages) this.video.write(page - ramPages, source);
      else {
        this.overlay.writeBlock(page - ramPages - videoPages, source);
        continue;
      }
      this.differing.add(page);
    }
  }

  /** Starts the dirty log, anew if there is one. Only between ticks. */
  startDirtyLog(): void {
    this.collect();
    this.videoDirty.clear();
    this.overlay.takeDirty();
    this.logging = true;
  }

  /** Pages written since the dirty log was started or last taken, and empties it. Only between ticks. */
  takeDirty(): Bitmap {
    const dirty = this.videoDirty.copy();
    this.videoDirty.clear();
    this.collect(dirty);
    dirty.addAll(this.videoDirty);
    this.videoDirty.clear();
    const firstBlock = this.space.ramPages + this.space.videoPages;
    for (const block of this.overlay.takeDirty()) dirty.add(firstBlock + block);
    return dirty;
  }

  get isLogging(): boolean {
    return this.logging;
  }

  stopDirtyLog(): void {
    this.logging = false;
    this.videoDirty.clear();
    this.overlay.takeDirty();
  }

  /** Every page that may differ from the base snapshot. Reads the byte map without clearing it, so it is safe anywhere. */
  differsFromBase(): Bitmap {
    const differs = this.differing.copy();
    this.tracking.read(differs);
    this.compareVideo();
    differs.addAll(this.differing);
    const firstBlock = this.space.ramPages + this.space.videoPages;
    for (const block of this.overlay.written()) differs.add(firstBlock + block);
    return differs;
  }

  /**
   * Zeroes the firmware that v86 has put below 1 MiB into the RAM of a machine that never ran. Fresh wasm memory is
   * zero, and touching all of it would make the host allocate it.
   */
  clearFirmware(): void {
    this.ram().fill(0, 0, FIRMWARE_END);
  }

  /** Declares the current memory to be the base snapshot: no page differs from it. Only between ticks. */
  isBase(): void {
    this.video.forget();
    this.tracking.clear();
    this.overlay.takeDirty();
    this.differing.clear();
    this.videoDirty.clear();
  }

  /** Guest RAM. Valid until the emulator's memory grows: take it anew after every await. */
  ram(): Uint8Array {
    return new Uint8Array(this.cpu.wasm_memory.buffer, this.cpu.mem8.byteOffset, this.space.ramPages * PAGE_SIZE);
  }

  /** Moves the marks of the byte map into `differing` (and `dirty`), and clears them. */
  private collect(dirty?: Bitmap): void {
    const marked = dirty ?? new Bitmap(totalPages(this.space));
    this.tracking.read(marked);
    this.tracking.clear();
    this.differing.addAll(marked);
    this.compareVideo();
  }

  private compareVideo(): void {
    const changed = new Bitmap(totalPages(this.space));
    this.video.compare(changed, this.space.ramPages);
    this.differing.addAll(changed);
    this.videoDirty.addAll(changed);
  }

  private checked(page: number | undefined): number {
    if (page === undefined || page >= totalPages(this.space)) {
      throw new RangeError(`Page ${String(page)} is outside the machine's ${totalPages(this.space)} pages`);
    }
    return page;
  }

  private checkLength(pages: Uint32Array, data: Uint8Array): void {
    if (data.length !== pages.length * PAGE_SIZE) {
      throw new RangeError(`${pages.length} pages have ${pages.length * PAGE_SIZE} bytes, not ${data.length}`);
    }
  }
}
