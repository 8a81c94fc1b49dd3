/** From Debian's packages to a bootable disk: the Debian-specific half of the recipe. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { digestOfFiles, filesBelow, sha256 } from './digest.ts';
import { ensureHostTools, thisMachine } from './host-tools.ts';
import { makeDisk } from './image/disk.ts';
import { unpackKernel, type KernelParts } from './image/kernel.ts';
import { compilePrograms } from './image/programs.ts';
import { PrivateApt, type DownloadedPackage, type WantedPackage } from './packages/apt.ts';
import { KERNEL_META_PACKAGE, PACKAGES } from './packages/package-list.ts';
import { runCommand } from './run-command.ts';
import type { StepRunner } from './step.ts';

export interface DiskBuild {
  readonly diskFile: string;
  readonly biosFile: string;
  readonly vgaBiosFile: string;
  readonly packages: readonly DownloadedPackage[];
  /** Where `<package>/copyright` is. */
  readonly documentFolders: readonly string[];
}

export interface DiskBuildOptions {
  /** guest/ of the checkout. */
  readonly guestFolder: string;
  readonly steps: StepRunner;
  readonly log: (line: string) => void;
  /** Ask the package sources again instead of keeping the versions chosen earlier. */
  readonly update?: boolean;
}

/** Downloads outlive the checkout: a fresh clone finds them. */
function downloadFolder(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tabmotion');
}

export async function buildDisk({ guestFolder, steps, log, update }: DiskBuildOptions): Promise<DiskBuild> {
  await ensureHostTools(thisMachine, log);
  const packages = await choosePackages(steps, join(guestFolder, 'packages'), log, update ?? false);
  const kernelPackage = packages.find((entry) => entry.name.startsWith('linux-image-'));
  const others = packages.filter((entry) => entry !== kernelPackage);
  if (kernelPackage === undefined) throw new Error('the list of packages has no kernel');
  const recipe = (...folders: string[]): Record<string, string> =>
    Object.fromEntries(
      folders.map((folder) => [
        folder,
        digestOfFiles(
          join(guestFolder, folder),
          filesBelow(join(guestFolder, folder)).filter((name) => !name.endsWith('.test.ts')),
        ),
      ]),
    );

  const kernelFolder = await steps.run('kernel', { package: kernelPackage.sha256, ...recipe('image') }, async ({ folder, report }) => {
    report('unpacking the kernel and its modules');
    await unpackKernel(kernelPackage.file, folder);
  });
  const packagesFolder = await steps.run('packages', Object.fromEntries(others.map((entry) => [entry.name, entry.sha256])), async ({ folder, report }) => {
    for (const entry of others) {
      report(entry.name);
      await runCommand('dpkg-deb', ['--extract', entry.file, folder]);
    }
  });
  const compiler = sha256(await runCommand('gcc', ['--version']));
  const programsFolder = await steps.run('programs', { compiler, ...recipe('programs', 'agent', 'initrd', 'boot', 'image') }, async ({ folder, report }) => {
    await compilePrograms(guestFolder, folder, report);
  });
  const kernel = JSON.parse(readFileSync(join(kernelFolder, 'kernel.json'), 'utf8')) as KernelParts;
  const parts = { textFolder: join(guestFolder, 'root'), packagesFolder, programsFolder, kernel, kernelFolder };
  const inputs = { kernelFolder, packagesFolder, programsFolder, ...recipe('root', 'image') };
  const diskFolder = await steps.run('disk', inputs, ({ folder, report }) => makeDisk(parts, folder, report));
  return {
    diskFile: join(diskFolder, 'disk.img'),
    biosFile: join(packagesFolder, 'usr/share/seabios/bios.bin'),
    vgaBiosFile: join(packagesFolder, 'usr/share/seabios/vgabios-stdvga.bin'),
    packages,
    documentFolders: [join(packagesFolder, 'usr/share/doc'), join(kernelFolder, 'doc')],
  };
}

/** The chosen versions are kept with the checkout's other results, so that a second run does not ask the package sources. */
async function choosePackages(steps: StepRunner, packagesRecipe: string, log: (line: string) => void, update: boolean): Promise<DownloadedPackage[]> {
  if (update) rmSync(join(steps.folder, 'versions'), { recursive: true, force: true });
  mkdirSync(downloadFolder(), { recursive: true });
  const apt = new PrivateApt(join(downloadFolder(), 'apt'));
  const folder = await steps.run(
    'versions',
    { packages: [KERNEL_META_PACKAGE, ...PACKAGES].join(' '), recipe: digestOfFiles(packagesRecipe, ['apt.ts']) },
    async (work) => {
      work.report('asking the package sources');
      const warning = await apt.update(work.report);
      if (warning !== null) log(warning);
      writeFileSync(join(work.folder, 'packages.json'), JSON.stringify(await apt.resolve(), null, 1));
    },
  );
  const wanted = JSON.parse(readFileSync(join(folder, 'packages.json'), 'utf8')) as WantedPackage[];
  let downloaded: DownloadedPackage[] = [];
  await steps.run('download', { packages: JSON.stringify(wanted) }, async (work) => {
    downloaded = await apt.download(wanted, work.report);
  });
  return downloaded.length > 0 ? downloaded : apt.download(wanted, () => undefined);
}
