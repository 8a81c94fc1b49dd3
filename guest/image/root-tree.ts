/** The guest's root file system: Debian's binaries, our programs, and the text files of guest/root. */
import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { filesBelow } from '../digest.ts';
import { GuestError } from '../guest-error.ts';
import { neededLibraries } from './elf.ts';
import { FileTree, type TreeEntry } from './file-tree.ts';
import type { KernelParts } from './kernel.ts';
import { withoutCursorQuestion } from './quiet-prompt.ts';

const LIBRARY_FOLDER = '/lib/i386-linux-gnu';
const LOADER = 'ld-linux.so.2';
const TERMINALS = ['linux', 'xterm', 'xterm-256color', 'vt100', 'vt102', 'vt220', 'dumb'];
const BUSYBOX = 'bin/busybox';
/** From the packages: path there -> path in the guest. All programs are in /bin; the other folders are links to it. */
const BINARIES: Readonly<Record<string, string>> = {
  [BUSYBOX]: '/bin/busybox',
  'usr/sbin/dropbear': '/bin/dropbear',
  'usr/bin/dropbearkey': '/bin/dropbearkey',
  'usr/bin/dbclient': '/bin/dbclient',
  'usr/bin/lua5.4': '/bin/lua',
};
/** Fewer applets than this means that the list was not found where it used to be. */
const LEAST_APPLETS = 150;

export interface RootParts {
  /** guest/root of the recipe. */
  readonly textFolder: string;
  /** All packages but the kernel, unpacked over each other. */
  readonly packagesFolder: string;
  readonly programsFolder: string;
  readonly kernel: KernelParts;
  readonly kernelFolder: string;
}

export function rootTree(parts: RootParts): TreeEntry[] {
  const tree = new FileTree();
  for (const path of ['/dev', '/proc', '/sys', '/run', '/mnt', '/etc/dropbear', '/var/log', '/usr']) tree.folder(path);
  tree.folder('/root', 0o700);
  tree.folder('/tmp', 0o1777);
  tree.folder('/bin');
  for (const link of ['/sbin', '/usr/bin', '/usr/sbin']) tree.link(link, link === '/sbin' ? 'bin' : '../bin');
  tree.link('/var/run', '../run');
  tree.link('/etc/mtab', '../proc/mounts');
  addPackages(tree, parts.packagesFolder);
  addCopyrights(tree, join(parts.kernelFolder, 'doc'));
  addPrograms(tree, parts.programsFolder);
  addModules(tree, parts);
  addTexts(tree, parts.textFolder);
  return tree.list();
}

function addPackages(tree: FileTree, folder: string): void {
  const wanted: string[] = [];
  for (const [from, to] of Object.entries(BINARIES)) {
    const original = readFileSync(join(folder, from));
    const content = (from === BUSYBOX ? withoutCursorQuestion(original) : null) ?? original;
    tree.file(to, content, 0o755);
    wanted.push(...neededLibraries(content, from));
  }
  for (const applet of busyboxApplets(readFileSync(join(folder, BUSYBOX)))) {
    if (!tree.has(`/bin/${applet}`)) tree.link(`/bin/${applet}`, 'busybox');
  }
  addLibraries(tree, folder, wanted);
  const terminals = ['lib/terminfo', 'usr/share/terminfo'].map((path) => join(folder, path)).find((path) => existsSync(path));
  for (const name of terminals === undefined ? [] : TERMINALS) {
    const file = join(terminals ?? '', name.slice(0, 1), name);
    if (existsSync(file)) tree.file(`/lib/terminfo/${name.slice(0, 1)}/${name}`, readFileSync(file));
  }
  addCopyrights(tree, join(folder, 'usr/share/doc'));
}

function addCopyrights(tree: FileTree, folder: string): void {
  for (const name of readdirSync(folder)) {
    const file = join(folder, name, 'copyright');
    if (existsSync(file) && !lstatSync(join(folder, name)).isSymbolicLink()) tree.file(`/usr/share/doc/${name}/copyright`, readFileSync(file));
  }
}

/** The libraries named and all they need themselves. */
function addLibraries(tree: FileTree, folder: string, wanted: readonly string[]): void {
  const places = ['lib/i386-linux-gnu', 'usr/lib/i386-linux-gnu', 'lib', 'usr/lib'].map((path) => join(folder, path));
  const queue = [LOADER, ...wanted];
  const seen = new Set<string>();
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const soname = name;
    const found = places.map((place) => join(place, soname)).find((path) => existsSync(path));
    if (found === undefined) {
      throw new GuestError(
        'unexpected-content',
        `A program of the guest needs the library ${soname}, which no package of guest/packages/package-list.ts contains.`,
      );
    }
    const content = readFileSync(realpathSync(found));
    tree.file(soname === LOADER ? `/lib/${LOADER}` : `${LIBRARY_FOLDER}/${soname}`, content, 0o755);
    queue.push(...neededLibraries(content, soname));
  }
}

/** The commands a busybox binary contains: a sequence of names, each ended by a zero byte; an empty name ends the list. */
function busyboxApplets(binary: Buffer): string[] {
  const start = binary.indexOf('\0[\0[[\0', 0, 'latin1') + 1;
  const names = binary
    .subarray(start, binary.indexOf('\0\0', start, 'latin1'))
    .toString('latin1')
    .split('\0');
  if (start === 0 || names.length < LEAST_APPLETS || !names.includes('ash') || !names.every((name) => /^[\w[.-]+$/.test(name))) {
    throw new GuestError('unexpected-content', "busybox' list of commands was not found in its binary; guest/image/root-tree.ts has to learn where it is.");
  }
  return names;
}

function addPrograms(tree: FileTree, folder: string): void {
  for (const name of readdirSync(join(folder, 'programs'))) tree.file(`/bin/${name}`, readFileSync(join(folder, 'programs', name)), 0o755);
  tree.file('/bin/tabmotion-agent', readFileSync(join(folder, 'agent')), 0o755);
  tree.file('/bin/tabmotion-shell', readFileSync(join(folder, 'shell')), 0o755);
}

function addModules(tree: FileTree, { kernel, kernelFolder }: RootParts): void {
  const folder = `/lib/modules/${kernel.release}`;
  const list = JSON.parse(readFileSync(join(kernelFolder, 'modules.json'), 'utf8')) as { name: string; needs: string[] }[];
  const needs = new Map(list.map((entry) => [entry.name, entry.needs]));
  // modules.dep names all that must be loaded first, nearest need first.
  const all = (name: string): string[] => [...new Set((needs.get(name) ?? []).flatMap((needed) => [needed, ...all(needed)]))];
  for (const { name } of list) tree.file(`${folder}/${name}.ko`, readFileSync(join(kernelFolder, 'modules', `${name}.ko`)));
  tree.file(
    `${folder}/modules.dep`,
    list
      .map(
        ({ name }) =>
          `${name}.ko:${all(name)
            .map((needed) => ` ${needed}.ko`)
            .join('')}\n`,
      )
      .join(''),
  );
  const paths = (names: readonly string[]): string => names.map((name) => `${folder}/${name}.ko\n`).join('');
  tree.file('/etc/tabmotion/boot-modules', paths(kernel.boot));
  tree.file('/etc/tabmotion/network-modules', paths(kernel.network));
}

/** Files that begin with "#!" are scripts; only root may read secrets. */
function addTexts(tree: FileTree, folder: string): void {
  for (const path of filesBelow(folder)) {
    if (basename(path) === '.keep') continue;
    const content = readFileSync(join(folder, path));
    const mode = content.subarray(0, 2).toString() === '#!' ? 0o755 : path === 'etc/shadow' ? 0o600 : 0o644;
    tree.file(`/${path}`, content, mode);
  }
}
