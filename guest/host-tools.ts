/** What the recipe needs on the machine it runs on. */
import { existsSync, readFileSync } from 'node:fs';
import { GuestError } from './guest-error.ts';
import { runCommand, tryCommand } from './run-command.ts';

/** Command -> Debian package. */
const TOOLS: Readonly<Record<string, string>> = {
  'dpkg-deb': 'dpkg',
  gcc: 'gcc',
  ld: 'binutils',
  objcopy: 'binutils',
  xz: 'xz-utils',
  mke2fs: 'e2fsprogs',
  debugfs: 'e2fsprogs',
};

/** What the recipe uses of the machine; tests pass another one. */
export interface HostMachine {
  has(command: string): Promise<boolean>;
  readonly isDebian: boolean;
  readonly isRoot: boolean;
  install(packages: readonly string[]): Promise<void>;
}

export const thisMachine: HostMachine = {
  has: async (command) => (await tryCommand('sh', ['-c', `command -v ${command}`])).status === 0,
  isDebian: existsSync('/etc/debian_version') && /^ID=debian$/m.test(existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''),
  isRoot: process.getuid?.() === 0,
  install: async (packages) => {
    await tryCommand('apt-get', ['--quiet', 'update']);
    await runCommand('apt-get', ['install', '--yes', '--no-install-recommends', ...packages], { env: { DEBIAN_FRONTEND: 'noninteractive' } });
  },
};

/**
 * Makes sure that all tools are there: on Debian as root by installing them, otherwise by naming them. Rejects with
 * GuestError('not-debian' | 'host-tools-missing').
 */
export async function ensureHostTools(machine: HostMachine, log: (line: string) => void): Promise<void> {
  if (!(await machine.has('apt-get'))) {
    throw new GuestError(
      'not-debian',
      'The guest is made of Debian packages, and this machine has no apt-get. Use a finished set (npm run guest -- --guest-url URL), or make one in a Debian 12 container (guest/Dockerfile).',
    );
  }
  const missing = await missingPackages(machine);
  if (missing.length === 0) return;
  const command = `apt-get install --no-install-recommends ${missing.join(' ')}`;
  if (machine.isDebian && machine.isRoot) {
    log(`installing ${missing.join(', ')}`);
    await machine.install(missing);
  }
  const stillMissing = await missingPackages(machine);
  if (stillMissing.length > 0) {
    throw new GuestError('host-tools-missing', `The guest's recipe needs these packages: ${stillMissing.join(', ')}. Install them with:  sudo ${command}`);
  }
}

async function missingPackages(machine: HostMachine): Promise<string[]> {
  const missing = new Set<string>();
  for (const [command, name] of Object.entries(TOOLS)) {
    if (!(await machine.has(command))) missing.add(name);
  }
  return [...missing].sort();
}
