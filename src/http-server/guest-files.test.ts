import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guestFiles } from './guest-files.ts';
import { serveApp, type ServedApp } from './testing/serve-app.ts';

const content = Buffer.from(Array.from({ length: 1000 }, (_, at) => at % 251));
const sha256 = createHash('sha256').update(content).digest('hex');
const etag = `"${sha256}"`;
const path = `/guest/${sha256}/disk.img`;

describe('guest files', () => {
  let directory: string;
  let server: ServedApp;

  beforeAll(async () => {
    directory = join(await mkdtemp(join(tmpdir(), 'guest-files-')), '.cache');
    await mkdir(join(directory, sha256), { recursive: true });
    await writeFile(join(directory, sha256, 'disk.img'), content);
    await writeFile(join(directory, sha256, 'secret'), 'not in the manifest');
    await writeFile(join(directory, 'manifest.json'), '{"format":1}');
    server = await serveApp(express().use('/guest', guestFiles(directory, [{ name: 'disk.img', sha256 }])));
  });
  afterAll(async () => {
    await server.close();
    await rm(join(directory, '..'), { recursive: true });
  });

  it('serves an artefact whole, to be kept for ever, under a strong tag that is its digest', async () => {
    const answer = await server.get(path);
    expect(answer.status).toBe(200);
    expect(answer.body.equals(content)).toBe(true);
    expect(answer.headers).toMatchObject({
      etag,
      'cache-control': 'public, max-age=31536000, immutable',
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
    });
  });

  it('answers a request for what the visitor has already with 304', async () => {
    expect((await server.get(path, { 'If-None-Match': etag })).status).toBe(304);
  });

  it.each([
    ['bytes=0-9', 0, 10],
    ['bytes=990-', 990, 1000],
    ['bytes=-5', 995, 1000],
    ['bytes=996-5000', 996, 1000],
  ])('serves the range %s', async (range, from, to) => {
    const answer = await server.get(path, { Range: range });
    expect(answer.status).toBe(206);
    expect(answer.headers['content-range']).toBe(`bytes ${from}-${to - 1}/1000`);
    expect(answer.body.equals(content.subarray(from, to))).toBe(true);
  });

  it("serves the range only if the visitor's copy is of the same digest", async () => {
    expect((await server.get(path, { Range: 'bytes=0-9', 'If-Range': etag })).status).toBe(206);
    const other = await server.get(path, { Range: 'bytes=0-9', 'If-Range': '"other"' });
    expect(other.status).toBe(200);
    expect(other.body.length).toBe(1000);
  });

  it('refuses a range beyond the end with 416 and the size', async () => {
    const answer = await server.get(path, { Range: 'bytes=1000-' });
    expect(answer.status).toBe(416);
    expect(answer.headers['content-range']).toBe('bytes */1000');
  });

  it('has the manifest revalidated each time', async () => {
    const answer = await server.get('/guest/manifest.json');
    expect(answer.headers['cache-control']).toBe('no-cache');
    expect(answer.headers['content-type']).toContain('application/json');
    expect((await server.get('/guest/manifest.json', { 'If-None-Match': String(answer.headers.etag) })).status).toBe(304);
  });

  it.each([
    `/guest/${sha256}/secret`,
    `/guest/${'0'.repeat(64)}/disk.img`,
    `/guest/${sha256}/..%2fmanifest.json`,
    '/guest/../package.json',
    '/guest/SOURCES',
    '/guest/',
  ])('has nothing at %s', async (wrong) => {
    expect((await server.get(wrong)).status).toBe(404);
  });
});
