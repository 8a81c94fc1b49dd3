/** The kernel package's parts: the kernel unpacked, and the modules the guest uses, stripped. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { filesBelow } from '../digest.ts';
import { GuestError } from '../guest-error.ts';
import { runCommand } from '../run-command.ts';
import { elfSection } from './elf.ts';

/** Loaded before the root file system: what reports a panic to the host, as early as possible, the disk's controller, the file system. */
const INITRD_MODULES = ['pvpanic_pci', 'crc32c_generic', 'ata_piix', 'sd_mod', 'ext4'] as const;
/** Loaded at boot, before the snapshot: the bus of the network card, and what the card's driver needs. */
const BOOT_MODULES = ['virtio_pci', 'net_failover'] as const;
/** Loaded once the guest has its identity. */
const NETWORK_MODULES = ['virtio_net'] as const;
/** Loaded only on demand (modprobe). */
const EXTRA_MODULES = [
  'loop',
  'psmouse',
  'evdev',
  'tun',
  'dummy',
  'veth',
  'bridge',
  'isofs',
  'vfat',
  'nls_cp437',
  'nls_ascii',
  'squashfs',
  'overlay',
  'fuse',
] as const;

export interface KernelParts {
  readonly release: string;
  /** Files in the step's folder. */
  readonly image: string;
  readonly setup: string;
  /** Module names in loading order: each comes after the modules that it needs. */
  readonly initrd: readonly string[];
  readonly boot: readonly string[];
  readonly network: readonly string[];
}

/** Offsets in a bzImage's setup header (Documentation/x86/boot.rst). */
const SETUP_SECTORS = 0x1f1;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const XZ_MAGIC = 'fd377a585a00';
/** The build appends the unpacked size to the compressed stream. */
const SIZE_TRAILER_BYTES = 4;

/**
 * Fills `folder` with vmlinux, setup, modules/NAME.ko, doc/PACKAGE/copyright and kernel.json (KernelParts). Unpacking the kernel here instead of
 * in the guest saves most of its boot time.
 */
export async function unpackKernel(packageFile: string, folder: string): Promise<void> {
  const unpacked = join(folder, 'unpacked');
  await runCommand('dpkg-deb', ['--extract', packageFile, unpacked]);
  const imageName = readdirSync(join(unpacked, 'boot')).find((name) => name.startsWith('vmlinuz-'));
  if (imageName === undefined) throw new GuestError('unexpected-content', 'The kernel package has no boot/vmlinuz.');
  const release = imageName.slice('vmlinuz-'.length);
  const image = readFileSync(join(unpacked, 'boot', imageName));
  await unpackPayload(image, folder);

  const modules = new ModuleFolder([join(unpacked, 'lib/modules', release, 'kernel'), join(unpacked, 'usr/lib/modules', release, 'kernel')]);
  const initrd = modules.closure(INITRD_MODULES);
  const boot = modules.closure(BOOT_MODULES).filter((name) => !initrd.includes(name));
  const network = modules.closure(NETWORK_MODULES).filter((name) => !initrd.includes(name) && !boot.includes(name));
  const extra = modules.closure(EXTRA_MODULES.filter((name) => modules.has(name)));
  mkdirSync(join(folder, 'modules'));
  for (const name of new Set([...initrd, ...boot, ...network, ...extra])) {
    await runCommand('objcopy', ['--strip-debug', '--enable-deterministic-archives', modules.file(name), join(folder, 'modules', `${name}.ko`)]);
  }
  const dependencies = [...new Set([...initrd, ...boot, ...network, ...extra])].sort().map((name) => ({ name, needs: modules.needs(name) }));
  const parts: KernelParts = { release, image: 'vmlinux', setup: 'setup', initrd, boot, network };
  writeFileSync(join(folder, 'kernel.json'), JSON.stringify(parts));
  writeFileSync(join(folder, 'modules.json'), JSON.stringify(dependencies));
  cpSync(join(unpacked, 'usr/share/doc'), join(folder, 'doc'), { recursive: true });
  rmSync(unpacked, { recursive: true });
}

/** The executable kernel inside the bootable file. */
async function unpackPayload(image: Buffer, folder: string): Promise<void> {
  const setupBytes = ((image[SETUP_SECTORS] ?? 0) + 1) * 512;
  const start = setupBytes + image.readUInt32LE(PAYLOAD_OFFSET);
  const payload = image.subarray(start, start + image.readUInt32LE(PAYLOAD_LENGTH));
  if (payload.subarray(0, 6).toString('hex') !== XZ_MAGIC) {
    throw new GuestError('unexpected-content', 'The kernel is not packed with XZ any more; guest/image/kernel.ts has to learn its new format.');
  }
  const packed = join(folder, 'payload.xz');
  writeFileSync(packed, payload.subarray(0, payload.length - SIZE_TRAILER_BYTES));
  await runCommand('xz', ['--decompress', '--stdout', packed], { outputFile: join(folder, 'vmlinux') });
  rmSync(packed);
  writeFileSync(join(folder, 'setup'), image.subarray(0, 0x1000));
}

/** Kernel modules by name ('-' and '_' are the same), with what each says it needs. */
class ModuleFolder {
  private readonly files = new Map<string, string>();

  constructor(folders: readonly string[]) {
    for (const folder of folders.filter((path) => existsSync(path))) {
      for (const path of filesBelow(folder)) {
        if (path.endsWith('.ko')) this.files.set(moduleName(path), join(folder, path));
      }
    }
  }

  has(name: string): boolean {
    return this.files.has(name);
  }

  file(name: string): string {
    const file = this.files.get(name);
    if (file === undefined)
      throw new GuestError('unexpected-content', `The kernel package has no module ${name}; guest/image/kernel.ts has to be adapted to this kernel.`);
    return file;
  }

  needs(name: string): string[] {
    const info = elfSection(readFileSync(this.file(name)), '.modinfo', `${name}.ko`)?.content;
    const depends = new TextDecoder()
      .decode(info ?? new Uint8Array(0))
      .split('\0')
      .find((entry) => entry.startsWith('depends='));
    return (depends ?? '')
      .slice('depends='.length)
      .split(',')
      .filter((entry) => entry !== '')
      .map(moduleName);
  }

  /** These modules and all they need, needed ones first. */
  closure(names: readonly string[]): string[] {
    const order: string[] = [];
    const visit = (name: string): void => {
      if (order.includes(name)) return;
      for (const needed of this.needs(name)) visit(needed);
      order.push(name);
    };
    for (const name of names) visit(name);
    return order;
  }
}

function moduleName(path: string): string {
  return basename(path, '.ko').replaceAll('-', '_');
}
