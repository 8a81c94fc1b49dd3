/** The bootable disk as it is before its first boot: boot area and one partition. */
import { closeSync, openSync, readFileSync, readSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bootArea, BOOT_AREA_BYTES } from './boot-area.ts';
import { flattenElf } from './elf.ts';
import { makeExt4Image } from './ext4-image.ts';
import { initrdArchive } from './initrd.ts';
import type { KernelParts } from './kernel.ts';
import { rootTree, type RootParts } from './root-tree.ts';

/** Room for what a class writes; empty blocks cost neither the server nor the tab anything. */
export const PARTITION_BYTES = 112 * 1024 * 1024;
export const DISK_BYTES = BOOT_AREA_BYTES + PARTITION_BYTES;
const COPY_BYTES = 1024 * 1024;

/**
 * Kernel parameters. Quiet until the shell. No ACPI: with it v86's disk is not found and its timer is not saved. The next ones save boot
 * time: self-tests, probing (the BIOS's device list among it), mitigations, waiting for entropy, auditing; then: the TSC is the one clock that survives a move, freed memory
 * is zeroed (a smaller snapshot), pages stay small (finer write tracking), and IPv6 is not spoken on the virtual LAN.
 */
export const COMMAND_LINE = [
  'console=ttyS0 root=/dev/sda1 rw quiet loglevel=3 acpi=off pnpbios=off',
  'cryptomgr.notests noisapnp mitigations=off random.trust_cpu=on nokaslr audit=0',
  'tsc=reliable nowatchdog init_on_free=1 transparent_hugepage=never ipv6.disable=1',
].join(' ');

/** Writes disk.img into `folder`. */
export async function makeDisk(parts: RootParts, folder: string, report: (text: string) => void): Promise<void> {
  const kernel: KernelParts = parts.kernel;
  report('file system');
  const partition = join(folder, 'partition.img');
  await makeExt4Image(rootTree(parts), PARTITION_BYTES, partition, folder);
  report('boot area');
  const area = bootArea({
    mbr: readFileSync(join(parts.programsFolder, 'mbr.bin')),
    loader: readFileSync(join(parts.programsFolder, 'loader.bin')),
    kernel: flattenElf(readFileSync(join(parts.kernelFolder, kernel.image)), 'the kernel'),
    kernelSetup: readFileSync(join(parts.kernelFolder, kernel.setup)),
    initrd: initrdArchive(kernel, parts.kernelFolder, parts.programsFolder),
    commandLine: COMMAND_LINE,
    partitionBytes: PARTITION_BYTES,
  });
  const disk = join(folder, 'disk.img');
  writeFileSync(disk, area);
  appendSparse(disk, partition, BOOT_AREA_BYTES);
  rmSync(partition);
}

/** Copies a file to `offset` of another; stretches of zeros become holes. */
function appendSparse(to: string, from: string, offset: number): void {
  const bytes = statSync(from).size;
  truncateSync(to, offset + bytes);
  const input = openSync(from, 'r');
  const output = openSync(to, 'r+');
  const buffer = Buffer.alloc(COPY_BYTES);
  const zeros = Buffer.alloc(COPY_BYTES);
  try {
    for (let at = 0; at < bytes; ) {
      const count = readSync(input, buffer, 0, COPY_BYTES, at);
      if (count === 0) break;
      if (!buffer.subarray(0, count).equals(zeros.subarray(0, count))) writeSync(output, buffer, 0, count, offset + at);
      at += count;
    }
  } finally {
    closeSync(input);
    closeSync(output);
  }
}
