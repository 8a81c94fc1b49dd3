/**
 * A disk in memory that fails as disks do: it loses power between any two of its steps, runs full, and refuses to write.
 * What was written but not synced may be there after a loss of power or not, sector by sector.
 */
import type { SeededRandom } from '../../../migration/testing/seeded-random.ts';
import type { Disk, DiskFile } from '../disk.ts';
import { SECTOR_BYTES } from '../record-sectors.ts';

/** Thrown by every step from the loss of power on. */
export class PowerLoss extends Error {}

export function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

interface ModelFile {
  cached: Uint8Array;
  durable: Uint8Array;
}

export class ModelDisk implements Disk {
  readonly place = 'the model disk';
  readonly files = new Map<string, ModelFile>();
  /** Steps that change the disk, so far. */
  steps = 0;
  /** The step in which the power fails. */
  powerLossAt = Number.POSITIVE_INFINITY;
  /** Space for all files together; what is allocated already can be written again. */
  bytesFree = Number.POSITIVE_INFINITY;
  /** Called before each step; an error that it returns makes the step fail. */
  fails: (step: 'write' | 'sync' | 'truncate' | 'create') => Error | null = () => null;
  private readonly random: SeededRandom;

  constructor(random: SeededRandom) {
    this.random = random;
  }

  exists(): boolean {
    return this.files.size > 0;
  }

  create(files: Readonly<Record<string, Uint8Array>>): void {
    this.step('create');
    for (const [name, bytes] of Object.entries(files)) this.allocate(bytes.length, name);
    for (const [name, bytes] of Object.entries(files)) this.files.set(name, { cached: bytes.slice(), durable: bytes.slice() });
  }

  open(name: string): DiskFile {
    const found = this.files.get(name);
    if (found === undefined) throw systemError('ENOENT');
    return {
      size: () => (this.files.get(name) === found ? found.cached.length : null),
      readAll: () => found.cached.slice(),
      read: (at, bytes) => found.cached.slice(at, at + bytes),
      write: (at, bytes) => this.write(found, at, bytes),
      sync: () => {
        this.step('sync');
        found.durable = found.cached.slice();
      },
      truncate: (bytes) => {
        this.step('truncate');
        this.bytesFree += Math.max(0, found.cached.length - bytes);
        found.cached = resized(found.cached, bytes);
      },
      close: () => undefined,
    };
  }

  /** The power comes back: what is there is what the next process finds. */
  restart(): void {
    this.powerLossAt = Number.POSITIVE_INFINITY;
    for (const file of this.files.values()) {
      const length = this.random.chance(0.5) ? file.cached.length : file.durable.length;
      const image = resized(file.durable, length);
      for (let at = 0; at < length; at += SECTOR_BYTES) {
        if (at < file.cached.length && this.random.chance(0.5)) image.set(file.cached.subarray(at, Math.min(at + SECTOR_BYTES, length)), at);
      }
      file.cached = image;
      file.durable = image.slice();
    }
  }

  private write(file: ModelFile, at: number, bytes: Uint8Array): number {
    this.step('write');
    // The system may take any part of it, in whole sectors, and may write any of that at once.
    const sectors = Math.ceil(bytes.length / SECTOR_BYTES);
    let taken = Math.min(bytes.length, this.random.chance(0.8) ? bytes.length : (1 + this.random.below(sectors)) * SECTOR_BYTES);
    taken = Math.min(taken, file.cached.length - at + Math.floor(this.bytesFree / SECTOR_BYTES) * SECTOR_BYTES);
    if (taken <= 0) throw systemError('ENOSPC');
    const grows = at + taken - file.cached.length;
    if (grows > 0) {
      this.bytesFree -= grows;
      file.cached = resized(file.cached, at + taken);
    }
    file.cached.set(bytes.subarray(0, taken), at);
    if (this.random.chance(0.2)) {
      for (let from = at; from < at + taken; from += SECTOR_BYTES) {
        if (from + SECTOR_BYTES <= file.durable.length && this.random.chance(0.5)) file.durable.set(file.cached.subarray(from, from + SECTOR_BYTES), from);
      }
    }
    return taken;
  }

  private allocate(bytes: number, name: string): void {
    if (bytes > this.bytesFree) throw systemError('ENOSPC');
    if (!this.files.has(name)) this.bytesFree -= bytes;
  }

  private step(name: Parameters<ModelDisk['fails']>[0]): void {
    this.steps += 1;
    if (this.steps >= this.powerLossAt) throw new PowerLoss();
    const error = this.fails(name);
    if (error !== null) throw error;
  }
}

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const result = new Uint8Array(length);
  result.set(bytes.subarray(0, length));
  return result;
}
