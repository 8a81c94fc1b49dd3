/** Our own programs for the guest: freestanding C for i386, so the host needs a compiler but no 32-bit C library. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../run-command.ts';
import { LOADER_SECTOR } from './boot-area.ts';

const COMPILE = [
  '-m32',
  '-march=i686',
  '-std=gnu11',
  '-ffreestanding',
  '-fno-pic',
  '-no-pie',
  '-fno-stack-protector',
  '-fno-asynchronous-unwind-tables',
  '-Wall',
  '-Wextra',
];
const LINK = ['-nostdlib', '-static', '-Wl,--build-id=none', '-Wl,-z,noseparate-code', '-Wl,-z,noexecstack', '-s'];

/** Every source in guest/programs is a program of its own. */
function programNames(guestFolder: string): string[] {
  return readdirSync(join(guestFolder, 'programs'))
    .filter((name) => name.endsWith('.c'))
    .map((name) => name.slice(0, -2))
    .sort();
}

/** Fills `folder`: programs/NAME, agent, shell, init, mbr.bin, loader.bin. */
export async function compilePrograms(guestFolder: string, folder: string, report: (text: string) => void): Promise<void> {
  const compile = async (source: string, output: string): Promise<void> => {
    report(source);
    // Relative paths, so that the place of the checkout leaves no trace in the output.
    await runCommand('gcc', ['-O2', ...COMPILE, ...LINK, '-o', output, source], { cwd: guestFolder });
  };
  await runCommand('mkdir', ['-p', join(folder, 'programs')]);
  for (const name of programNames(guestFolder)) await compile(`programs/${name}.c`, join(folder, 'programs', name));
  await compile('agent/agent.c', join(folder, 'agent'));
  await compile('agent/shell.c', join(folder, 'shell'));
  await compile('initrd/init.c', join(folder, 'init'));

  report('boot loader');
  const object = async (source: string, name: string, ...defines: string[]): Promise<string> => {
    const output = join(folder, name);
    await runCommand('gcc', ['-Os', ...COMPILE, ...defines, '-c', '-o', output, source], { cwd: guestFolder });
    return output;
  };
  const mbr = await object('boot/mbr.S', 'mbr.o', `-DLOADER_SECTOR=${LOADER_SECTOR}`);
  await runCommand('ld', ['-m', 'elf_i386', '-Ttext', '0x7c00', '--oformat', 'binary', '-o', join(folder, 'mbr.bin'), mbr]);
  const loader = [await object('boot/loader.S', 'loader.o'), await object('boot/unpack.c', 'unpack.o')];
  await runCommand('ld', ['-m', 'elf_i386', '-T', 'boot/loader.ld', '-o', join(folder, 'loader.bin'), ...loader], { cwd: guestFolder });
  writeFileSync(join(folder, 'names.json'), JSON.stringify(programNames(guestFolder)));
}
