/** Tells the person who started the server why the start failed: one sentence if the machine is the cause. */

/** Errors of the file system while the guest or the page is made, or read. Null: an error of the server's own. */
export function sentenceForSystemError(error: unknown): string | null {
  if (!(error instanceof Error && 'code' in error && 'syscall' in error)) return null;
  const where = 'path' in error ? ` (${String(error.path)})` : '';
  switch (error.code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return `The disk is full${where}. Free some space and start again; what was finished is kept.`;
    case 'EACCES':
    case 'EPERM':
      return `This user may not read or write what the server needs${where}. Give this user the right to, and start again.`;
    case 'EROFS':
      return `The server needs to write to a file system that is read-only${where}.`;
    case 'EMFILE':
    case 'ENFILE':
      return 'This process may open too few files. Raise the limit (ulimit -n 1024) and start again.';
    default:
      return `The server cannot start: ${error.message}`;
  }
}
