import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * SHA-256 over the names and contents of files and folders (recursively, in the order of their names). A name that does
 * not exist counts as absent, so that its creation changes the digest. `skip` leaves files out by their path.
 */
export async function sourceDigest(root: string, names: readonly string[], skip: (path: string) => boolean = () => false): Promise<string> {
  const hash = createHash('sha256');
  for (const name of [...names].sort()) await add(name);
  return hash.digest('hex');

  async function add(path: string): Promise<void> {
    if (skip(path)) return;
    const entries = await readdir(join(root, path), { withFileTypes: true }).catch(() => null);
    if (entries !== null) {
      for (const entry of entries.map((found) => found.name).sort()) await add(`${path}/${entry}`);
      return;
    }
    const content = await readFile(join(root, path)).catch(() => null);
    // Lengths go in first, so that no two sets of files run together into the same bytes.
    hash.update(`${path.length}:${path}:${content === null ? 'absent' : content.length}:`);
    if (content !== null) hash.update(content);
  }
}
