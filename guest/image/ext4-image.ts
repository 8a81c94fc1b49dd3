/**
 * An ext4 image out of a file tree, without mounting anything and without the host's clock, user ids or folder order in
 * it: mke2fs makes it empty, debugfs fills it in sorted order. The same tree gives the same bytes.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GuestError } from '../guest-error.ts';
import { runCommand, tryCommand } from '../run-command.ts';
import type { TreeEntry } from './file-tree.ts';

/** All times in the image, seconds since 1970 (2024-01-01). */
const IMAGE_TIME = '1704067200';
const UUID = '7ab0510a-0000-4000-8000-000000000001';
const BLOCK_BYTES = 4096;
const INODES = 16384;
const JOURNAL_MIB = 4;
/** Stated in full and from nothing, because the defaults differ between versions of e2fsprogs. */
const FEATURES = 'none,has_journal,ext_attr,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize';
const ENVIRONMENT = { E2FSPROGS_FAKE_TIME: IMAGE_TIME, SOURCE_DATE_EPOCH: IMAGE_TIME, MKE2FS_CONFIG: '/dev/null' };
const TYPE_BITS = { folder: 0o040000, file: 0o100000 } as const;

/** Writes the image to `file`; `scratch` is a folder for temporary files. */
export async function makeExt4Image(tree: readonly TreeEntry[], bytes: number, file: string, scratch: string): Promise<void> {
  const extended = `hash_seed=${UUID},lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner=0:0`;
  const options = ['-q', '-F', '-t', 'ext4', '-b', String(BLOCK_BYTES), '-I', '256', '-N', String(INODES), '-m', '0', '-J', `size=${JOURNAL_MIB}`];
  await runCommand('mke2fs', [...options, '-O', FEATURES, '-U', UUID, '-E', extended, '-L', 'tabmotion', file, String(bytes / BLOCK_BYTES)], {
    env: ENVIRONMENT,
  });

  const contents = join(scratch, 'contents');
  mkdirSync(contents, { recursive: true });
  const commands = tree.flatMap((entry, index) => debugfsCommands(entry, join(contents, String(index))));
  await debugfs(file, ['rmdir /lost+found', ...commands]);
  rmSync(contents, { recursive: true });
  const check = await tryCommand('e2fsck', ['-f', '-n', file], { env: ENVIRONMENT });
  if (check.status !== 0) throw new GuestError('unexpected-content', `The file system that was made is not sound: ${check.stdout.slice(-500)}`);
}

function debugfsCommands(entry: TreeEntry, contentFile: string): string[] {
  const slash = entry.path.lastIndexOf('/');
  const place = `cd "${entry.path.slice(0, slash) || '/'}"`;
  const name = entry.path.slice(slash + 1);
  switch (entry.kind) {
    case 'link':
      return [place, `symlink "${name}" "${entry.target}"`];
    case 'folder':
      return [place, `mkdir "${name}"`, ...attributes(name, TYPE_BITS.folder | entry.mode)];
    case 'file':
      writeFileSync(contentFile, entry.content);
      return [place, `write "${contentFile}" "${name}"`, ...attributes(name, TYPE_BITS.file | entry.mode)];
  }
}

function attributes(name: string, mode: number): string[] {
  return [`sif "${name}" mode 0${mode.toString(8)}`, `sif "${name}" uid 0`, `sif "${name}" gid 0`];
}

/** debugfs ends with status 0 whatever happens; what went wrong is on its standard error, behind its banner. */
async function debugfs(file: string, commands: readonly string[]): Promise<void> {
  const result = await tryCommand('debugfs', ['-w', '-f', '-', file], { input: `${commands.join('\n')}\n`, env: ENVIRONMENT });
  const complaints = result.stderr.split('\n').filter((line) => line !== '' && !/^debugfs \d/.test(line));
  if (result.status !== 0 || complaints.length > 0) {
    throw new GuestError('command-failed', `debugfs could not fill the disk image: ${complaints.slice(0, 3).join('; ')}`);
  }
}
