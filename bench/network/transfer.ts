/** Bulk transfers over TCP between this process and servers in the guest, the same whatever network lies between. */
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';

/** Ports of the guest's servers. */
export const SINK_PORT = 9;
export const SOURCE_PORT = 10;

const MEBIBYTE = 1024 * 1024;
const MEGA = 1_000_000;
/** The sink's `dd` counts blocks of this size. */
const BLOCK = Buffer.alloc(64 * 1024, 'tabmotion');
/** At the slowest rate worth a table (0.2 MB/s) a small transfer still ends. */
const TRANSFER_LIMIT_MS = 120_000;

export interface Ports {
  readonly sink: number;
  readonly source: number;
}

export interface TransferRates {
  /** MB/s, one figure a run. */
  readonly toGuest: readonly number[];
  readonly fromGuest: readonly number[];
}

/**
 * A shell line for the guest. It starts a source that sends `mebibytes` of data kept in memory, and a sink that answers
 * with how much it took once the client has closed its half. Ends when both listen.
 */
export function serveCommand(mebibytes: number): string {
  return [
    `pattern ${mebibytes} 1 > /tmp/data`,
    `{ nc -ll -p ${SINK_PORT} -e sh -c "dd of=/dev/null bs=64k iflag=fullblock 2>&1" & nc -ll -p ${SOURCE_PORT} -e cat /tmp/data & } 2>/dev/null`,
    `for port in ${SINK_PORT} ${SOURCE_PORT}; do until netstat -ltn | grep -q ":$port "; do sleep 1; done; done`,
  ].join('; ');
}

/** One unmeasured transfer each way (the emulators translate code as they meet it), then `runs` measured ones. */
export async function transferRates(ports: Ports, mebibytes: number, runs: number): Promise<TransferRates> {
  const bytes = mebibytes * MEBIBYTE;
  const toGuest: number[] = [];
  const fromGuest: number[] = [];
  for (let run = -1; run < runs; run++) {
    const up = await upload(ports.sink, bytes);
    const down = await download(ports.source, bytes);
    if (run < 0) continue;
    toGuest.push(bytes / MEGA / (up / 1000));
    fromGuest.push(bytes / MEGA / (down / 1000));
  }
  return { toGuest, fromGuest };
}

/** Milliseconds from connecting until everything has arrived. Rejects if the number of bytes is wrong. */
async function download(port: number, bytes: number): Promise<number> {
  const begun = performance.now();
  const { length } = await exchange(port, null, (data) => data.length);
  if (length !== bytes) throw new Error(`The guest sent ${length} of ${bytes} bytes.`);
  return performance.now() - begun;
}

/** Milliseconds from connecting until the guest has said that it took everything. */
async function upload(port: number, bytes: number): Promise<number> {
  const begun = performance.now();
  const { text } = await exchange(port, bytes, () => 0);
  if (!text.includes(`${bytes / BLOCK.length}+0 records in`))
    throw new Error(`The guest took something else than ${bytes} bytes: ${JSON.stringify(text.slice(0, 200))}`);
  return performance.now() - begun;
}

/** Sends `uploadBytes`, if any, closes its half, and reads until the other end closes its half; keeps the text of uploads only. */
function exchange(port: number, uploadBytes: number | null, weigh: (data: Buffer) => number): Promise<{ length: number; text: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    let length = 0;
    let text = '';
    const limit = setTimeout(() => socket.destroy(new Error(`A transfer did not end within ${TRANSFER_LIMIT_MS / 1000} s.`)), TRANSFER_LIMIT_MS);
    let left = uploadBytes ?? 0;
    const send = (): void => {
      while (left > 0) {
        const part = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
        left -= part.length;
        if (!socket.write(part)) return;
      }
      socket.end();
    };
    socket.on('connect', () => (uploadBytes === null ? undefined : send()));
    socket.on('drain', () => {
      if (!socket.writableEnded) send();
    });
    socket.on('data', (data: Buffer) => {
      length += weigh(data);
      if (uploadBytes !== null) text += data.toString();
    });
    socket.on('end', () => {
      clearTimeout(limit);
      socket.destroy();
      resolve({ length, text });
    });
    socket.on('error', (error) => {
      clearTimeout(limit);
      reject(error);
    });
  });
}
