import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('..', import.meta.url);

/** Paths, from the project's root, of all files that are committed or about to be: those below these folders, or all. */
export function projectFiles(...folders: string[]): string[] {
  return execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', ...folders], { cwd: fileURLToPath(root), encoding: 'utf8' })
    .trim()
    .split('\n')
    .filter((file) => existsSync(new URL(file, root)));
}
