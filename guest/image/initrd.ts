import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpioArchive, type CpioEntry } from './cpio.ts';
import type { KernelParts } from './kernel.ts';

/** The first file system: our init and its modules, in loading order. */
export function initrdArchive(kernel: KernelParts, kernelFolder: string, programsFolder: string): Uint8Array {
  const folders: CpioEntry[] = ['dev', 'modules', 'root'].map((path) => ({ path, kind: 'folder', mode: 0o755 }));
  const modules: CpioEntry[] = kernel.initrd.map((name) => ({
    path: `modules/${name}.ko`,
    kind: 'file',
    mode: 0o644,
    content: readFileSync(join(kernelFolder, 'modules', `${name}.ko`)),
  }));
  const list = kernel.initrd.map((name) => `/modules/${name}.ko\n`).join('');
  return cpioArchive([
    ...folders,
    { path: 'init', kind: 'file', mode: 0o755, content: readFileSync(join(programsFolder, 'init')) },
    { path: 'modules.list', kind: 'file', mode: 0o644, content: new TextEncoder().encode(list) },
    ...modules,
  ]);
}
