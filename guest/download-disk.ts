/**
 * Downloads the disk image of a set chunk by chunk: most of it is empty, and chunks that are there already are not
 * requested again. If a server does not know Range requests, or gets them wrong, we request the whole image
 * (download-set.ts).
 */
import { mkdirSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { GuestManifest } from '../src/emulator-bridge/guest-manifest.ts';
import { sha256 } from './digest.ts';
import { askFor, reasonOf, type Fetch } from './fetch-file.ts';
import { GuestError } from './guest-error.ts';

const DIGEST_BYTES = 32;
/** Chunks per request: enough to make the time of the requests themselves negligible. */
const MOST_CHUNKS = 64;

/**
 * Fills `file` with the disk image. Resolves with false if the server sent something else than the requested part (nothing
 * is kept of that); rejects with GuestError otherwise. The next run finds in the file what has arrived.
 */
export async function downloadDisk(
  manifest: GuestManifest,
  digests: Uint8Array,
  url: URL,
  file: string,
  get: Fetch,
  progress: (bytes: number) => void,
): Promise<boolean> {
  const { disk, diskChunkBytes } = manifest;
  const chunks = Math.ceil(disk.bytes / diskChunkBytes);
  if (digests.length !== chunks * DIGEST_BYTES) {
    throw new GuestError(
      'bad-manifest',
      `The set is inconsistent: a disk of ${disk.bytes} bytes in chunks of ${diskChunkBytes} has ${chunks} digests, not ${digests.length / DIGEST_BYTES}. Make it again.`,
    );
  }
  mkdirSync(dirname(file), { recursive: true });
  const handle = await open(file, 'a+').then(async (made) => {
    await made.close();
    return open(file, 'r+');
  });
  try {
    await handle.truncate(disk.bytes);
    const wanted = await missingChunks(handle, digests, disk.bytes, diskChunkBytes);
    progress(disk.bytes - wanted.length * diskChunkBytes);
    for (let at = 0; at < wanted.length;) {
      const first = wanted[at] ?? 0;
      let count = 1;
      while (count < MOST_CHUNKS && wanted[at + count] === first + count) count++;
      const from = first * diskChunkBytes;
      const to = Math.min(from + count * diskChunkBytes, disk.bytes);
      if (!(await fetchRun(handle, url, from, to, get))) return false;
      at += count;
      progress(disk.bytes - (wanted.length - at) * diskChunkBytes);
    }
    return true;
  } finally {
    await handle.close();
  }
}

async function missingChunks(file: FileHandle, digests: Uint8Array, bytes: number, chunkBytes: number): Promise<number[]> {
  const missing: number[] = [];
  const buffer = Buffer.alloc(chunkBytes);
  for (let index = 0; index * chunkBytes < bytes; index++) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(chunkBytes, bytes - index * chunkBytes), index * chunkBytes);
    const digest = Buffer.from(digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES)).toString('hex');
    if (sha256(buffer.subarray(0, bytesRead)) !== digest) missing.push(index);
  }
  return missing;
}

async function fetchRun(file: FileHandle, url: URL, from: number, to: number, get: Fetch): Promise<boolean> {
  const answer = await askFor(url, get, { from, to: to - 1 });
  if (answer.what !== 'part') {
    answer.drop();
    return false;
  }
  let at = from;
  try {
    for await (const piece of answer.pieces) {
      await file.write(piece.subarray(0, to - at), 0, Math.min(piece.length, to - at), at);
      at += piece.length;
      if (at > to) break;
    }
  } catch (error) {
    throw new GuestError('download-failed', `${url.href} broke off (${reasonOf(error)}). Run the command again: it goes on from there.`, { cause: error });
  }
  if (at !== to)
    throw new GuestError(
      'download-failed',
      `${url.href}: the web server sent ${at - from} bytes where ${to - from} were asked for. Run the command again: it goes on from there.`,
    );
  return true;
}
