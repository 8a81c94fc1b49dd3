import { open, type FileHandle } from 'node:fs/promises';
import type { BaseDisk } from '../../src/emulator-bridge/machine.ts';

/** A disk image in a local file, as the machine reads it. */
export async function openFileDisk(path: string): Promise<BaseDisk> {
  const file: FileHandle = await open(path, 'r');
  const { size } = await file.stat();
  return {
    byteLength: size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      const { bytesRead } = await file.read(bytes, 0, length, offset);
      if (bytesRead !== length) throw new Error(`${path} ends within the ${length} bytes at ${offset}`);
      return bytes;
    },
    dispose() {
      void file.close();
    },
  };
}
