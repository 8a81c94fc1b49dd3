/** A cpio archive in the kernel's "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst). */

export interface CpioEntry {
  /** Without a leading slash. */
  readonly path: string;
  readonly kind: 'folder' | 'file';
  readonly mode: number;
  readonly content?: Uint8Array;
}

const KIND_BITS = { folder: 0o040000, file: 0o100000 } as const;

/** Owner root, time 0: the same entries give the same bytes. */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  const parts = entries.map((entry, index) => record(index + 1, KIND_BITS[entry.kind] | entry.mode, entry.path, entry.content ?? new Uint8Array(0)));
  return new Uint8Array(Buffer.concat([...parts, record(0, 0, 'TRAILER!!!', new Uint8Array(0))]));
}

function record(inode: number, mode: number, path: string, content: Uint8Array): Buffer {
  const name = Buffer.from(`${path}\0`);
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const head = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return Buffer.concat([padded(Buffer.concat([head, name])), padded(Buffer.from(content))]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
