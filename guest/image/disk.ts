/** The bootable disk before its first boot: the file system, and the boot code around it. */
import { closeSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bootArea, DISK_BYTES, FILE_SYSTEM_BYTES } from './boot-area.ts';
import { flattenElf } from './elf.ts';
import { makeExt4Image } from './ext4-image.ts';
import { initrdArchive } from './initrd.ts';
import { rootTree, type RootParts } from './root-tree.ts';

/**
 * Kernel parameters. Quiet until the shell. No ACPI: with it v86's disk is not found and its timer is not saved. The
 * second line saves boot time: self-tests, probing, mitigations, waiting for entropy, auditing. Then: the TSC is the one
 * clock that survives a move, freed memory is zeroed (a smaller snapshot), pages stay small (finer write tracking), IPv6
 * is not spoken on the virtual LAN; and the kernel's tracing files, whose inodes fill 6 MiB, are not made.
 */
const COMMAND_LINE = [
  'console=ttyS0 root=/dev/sda rw quiet loglevel=3 acpi=off pnpbios=off',
  'cryptomgr.notests noisapnp mitigations=off random.trust_cpu=on nokaslr audit=0',
  'tsc=reliable nowatchdog init_on_free=1 transparent_hugepage=never ipv6.disable=1',
  'initcall_blacklist=tracer_init_tracefs',
].join(' ');

/** Writes disk.img into `folder`. */
export async function makeDisk(parts: RootParts, folder: string, report: (text: string) => void): Promise<void> {
  const { kernel, kernelFolder, programsFolder } = parts;
  const disk = join(folder, 'disk.img');
  report('file system');
  await makeExt4Image(rootTree(parts), FILE_SYSTEM_BYTES, disk, folder);
  report('boot area');
  const { sector, area } = bootArea({
    bootSector: readFileSync(join(programsFolder, 'mbr.bin')),
    loader: readFileSync(join(programsFolder, 'loader.bin')),
    kernel: flattenElf(readFileSync(join(kernelFolder, kernel.image)), 'the kernel'),
    kernelSetup: readFileSync(join(kernelFolder, kernel.setup)),
    initrd: initrdArchive(kernel, kernelFolder, programsFolder),
    commandLine: COMMAND_LINE,
  });
  truncateSync(disk, DISK_BYTES);
  const file = openSync(disk, 'r+');
  try {
    writeSync(file, sector, 0, sector.length, 0);
    writeSync(file, area, 0, area.length, FILE_SYSTEM_BYTES);
  } finally {
    closeSync(file);
  }
}
