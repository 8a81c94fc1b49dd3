import { describe, expect, it } from 'vitest';
import { FileTree } from './file-tree.ts';

describe('a file tree', () => {
  it('lists folders before what is in them, and makes the folders above an entry', () => {
    const tree = new FileTree();
    tree.file('/etc/init.d/start', '#!/bin/sh\n', 0o755);
    tree.link('/sbin', 'bin');
    expect(tree.list().map((entry) => `${entry.kind} ${entry.path}`)).toEqual(['folder /etc', 'folder /etc/init.d', 'file /etc/init.d/start', 'link /sbin']);
  });

  it('takes the later of two entries for the same path', () => {
    const tree = new FileTree();
    tree.file('/bin/ls', 'one');
    tree.link('/bin/ls', 'busybox');
    expect(tree.list().at(-1)).toEqual({ kind: 'link', path: '/bin/ls', target: 'busybox' });
  });
});
