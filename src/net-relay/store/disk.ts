/** The files of a store, as the record store needs them. Every call is synchronous and throws the system's own error. */
import { closeSync, fdatasyncSync, fstatSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface DiskFile {
  /** In bytes; null if the file was removed since it was opened. */
  size(): number | null;
  readAll(): Uint8Array;
  /** Up to the file's end. */
  read(at: number, bytes: number): Uint8Array;
  /** Returns how many bytes were written, one or more. If it throws, none were. */
  write(at: number, bytes: Uint8Array): number;
  /** Everything written so far outlives a loss of power. */
  sync(): void;
  truncate(bytes: number): void;
  close(): void;
}

export interface Disk {
  /** Where it is, for people. */
  readonly place: string;
  exists(): boolean;
  /** Makes the directory with these files, durably and all at once; throws and leaves nothing if that cannot be done. */
  create(files: Readonly<Record<string, Uint8Array>>): void;
  open(name: string): DiskFile;
}

/** Files in `directory`, whose parent must be there. */
export function nodeDisk(directory: string): Disk {
  const unfinished = `${directory}.new`;
  return {
    place: directory,
    exists() {
      try {
        statSync(directory);
        return true;
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
        throw error;
      }
    },
    create(files) {
      rmSync(unfinished, { recursive: true, force: true });
      try {
        mkdirSync(unfinished, { mode: 0o700 });
        for (const [name, bytes] of Object.entries(files)) {
          const file = nodeFile(openSync(join(unfinished, name), 'wx', 0o600));
          try {
            writeWhole(file, 0, bytes);
            file.sync();
          } finally {
            file.close();
          }
        }
        syncDirectory(unfinished);
        renameSync(unfinished, directory);
        syncDirectory(dirname(directory));
      } catch (error) {
        rmSync(unfinished, { recursive: true, force: true });
        throw error;
      }
    },
    open: (name) => nodeFile(openSync(join(directory, name), 'r+')),
  };
}

export function writeWhole(file: DiskFile, at: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.write(at + written, bytes.subarray(written));
}

function nodeFile(descriptor: number): DiskFile {
  return {
    size() {
      const { size, nlink } = fstatSync(descriptor);
      return nlink === 0 ? null : size;
    },
    readAll() {
      const bytes = new Uint8Array(fstatSync(descriptor).size);
      for (let at = 0; at < bytes.length;) {
        const read = readSync(descriptor, bytes, at, bytes.length - at, at);
        if (read === 0) return bytes.subarray(0, at);
        at += read;
      }
      return bytes;
    },
    read(at, length) {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, readSync(descriptor, bytes, 0, length, at));
    },
    write: (at, bytes) => writeSync(descriptor, bytes, 0, bytes.length, at),
    sync: () => fdatasyncSync(descriptor),
    truncate: (bytes) => ftruncateSync(descriptor, bytes),
    close: () => closeSync(descriptor),
  };
}

/** A file's name outlives a loss of power only if its directory was written, too. Windows has no such call. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
