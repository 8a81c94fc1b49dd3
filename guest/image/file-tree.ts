/** What the guest's root file system holds, as a list; nothing of the host's file attributes gets into it. */

export type TreeEntry =
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly content: Uint8Array }
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

/** Collects entries by absolute path; folders above an entry are made as needed. A later entry replaces an earlier one. */
export class FileTree {
  private readonly entries = new Map<string, TreeEntry>();

  folder(path: string, mode = 0o755): void {
    this.add({ kind: 'folder', path, mode });
  }

  file(path: string, content: Uint8Array | string, mode = 0o644): void {
    this.add({ kind: 'file', path, mode, content: typeof content === 'string' ? new TextEncoder().encode(content) : content });
  }

  link(path: string, target: string): void {
    this.add({ kind: 'link', path, target });
  }

  has(path: string): boolean {
    return this.entries.has(path);
  }

  /** Sorted so that a folder comes before what is in it. */
  list(): TreeEntry[] {
    return [...this.entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  private add(entry: TreeEntry): void {
    const parent = entry.path.slice(0, entry.path.lastIndexOf('/'));
    if (parent !== '' && !this.entries.has(parent)) this.folder(parent);
    this.entries.set(entry.path, entry);
  }
}
