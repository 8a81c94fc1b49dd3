import { createHash } from 'node:crypto';
import { mkdir, realpath, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { disposable, type Disposable } from '../shared/disposable.ts';

/** The data directory cannot be used; the message says why and what to do. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError';
}

/**
 * Creates the directory, for this user alone (it holds room keys), and keeps other servers out until disposed: two
 * servers on the same leases would be two arbiters. The claim is a local socket, which closes with the process, however
 * the process ends; we take over a socket file that nobody listens on any more. On Linux there is a second socket,
 * without a file: two servers that start at the same moment, or with different folders for temporary files, cannot both
 * get it.
 */
export async function claimDataDirectory(directory: string): Promise<Disposable> {
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw new DataDirectoryError(
      `The data directory ${directory} cannot be made (${error instanceof Error ? error.message : String(error)}). Choose another with --data DIR.`,
    );
  });
  const taken = new DataDirectoryError(`Another TabMotion server uses the data directory ${directory}. Stop it, or give this one its own with --data DIR.`);
  const unfiled = process.platform === 'linux' ? await hold(await unfiledPath(directory)) : null;
  if (process.platform === 'linux' && unfiled === null) throw taken;
  const path = claimPath(await realpath(directory));
  // Twice: the first try may meet the file that a killed server left behind.
  const server = (await hold(path)) ?? ((await isHeld(path)) ? null : await rm(path, { force: true }).then(() => hold(path)));
  if (server === null) {
    unfiled?.close();
    throw taken;
  }
  return disposable(() => {
    server.close();
    unfiled?.close();
  });
}

/** An abstract socket of Linux, named after the directory's device and inode: it has no file that could be left behind. */
async function unfiledPath(directory: string): Promise<string> {
  const { dev, ino } = await stat(directory, { bigint: true });
  return `\0tabmotion-${dev}-${ino}`;
}

/** Short whatever the directory's name is: paths of local sockets are limited to about a hundred bytes. */
function claimPath(directory: string): string {
  const name = `tabmotion-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}

function hold(path: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error) => {
      if ('code' in error && error.code === 'EADDRINUSE') resolve(null);
      else reject(new DataDirectoryError(`The data directory cannot be claimed: ${error.message}`));
    });
    // The claim alone must not keep the process alive.
    server.listen(path, () => resolve(server.unref()));
  });
}

function isHeld(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
