import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

export interface FileServer {
  readonly origin: string;
  /** What was asked for: `path` or `path range`. */
  readonly requests: string[];
  /** Whether the server knows Range requests; `wrong`: it sends another part than requested, and says so; `unsaid`: it sends no Content-Range. */
  ranges: boolean | 'wrong' | 'unsaid';
  close(): Promise<void>;
}

/** A plain web server over a folder, on a loopback port of its own. */
export async function serveFolder(folder: string): Promise<FileServer> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://host').pathname);
    const range = request.headers.range;
    files.requests.push(range === undefined ? path : `${path} ${range}`);
    let content: Buffer;
    try {
      content = readFileSync(join(folder, path));
    } catch {
      response.writeHead(404).end('no such file');
      return;
    }
    const asked = files.ranges !== false ? /^bytes=(\d+)-(\d*)$/.exec(range ?? '') : null;
    if (asked === null) {
      response.writeHead(200, { 'Content-Length': content.length });
      response.end(content);
      return;
    }
    const wanted = Number(asked[1]);
    const length = (asked[2] === '' ? content.length : Number(asked[2]) + 1) - wanted;
    const from = files.ranges === 'wrong' ? Math.max(0, wanted - 1) : wanted;
    const header = files.ranges === 'unsaid' ? {} : { 'Content-Range': `bytes ${from}-${from + length - 1}/${content.length}` };
    response.writeHead(206, { 'Content-Length': length, ...header });
    response.end(content.subarray(from, from + length));
  });
  const files: FileServer = {
    origin: '',
    requests: [],
    ranges: true,
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()));
  return Object.assign(files, { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}
