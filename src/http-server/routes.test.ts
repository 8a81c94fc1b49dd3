import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../shared/system-clock.ts';
import { CaptureDownloads } from './capture-downloads.ts';
import { RequestRefused } from '../net-relay/server/request-refused.ts';
import { StoreRefusal } from '../net-relay/store/key-value-store.ts';
import { createRoutes } from './routes.ts';
import { ForwardError, type Forward } from '../net-relay/gateway/port-forwards.ts';
import type { RoomControls } from './rooms-api.ts';
import { contentSecurityPolicy } from './security-headers.ts';
import { serveApp, type ServedApp } from './testing/serve-app.ts';

const KEY = 'k'.repeat(22);
const OWNER = 'o'.repeat(22);
const FILE = new Uint8Array([0xa1, 0xb2, 0xc3, 0xd4]);

/** An open room that keeps what it is told. */
class FakeControls implements RoomControls {
  open: Forward[] = [];
  capturing = false;
  full = false;
  forwards = (): Forward[] => this.open;
  addForward({ vm, guestPort, hostPort }: { vm: string; guestPort: number; hostPort: number }): Promise<Forward> {
    if (vm !== 'pc1') return Promise.reject(new ForwardError(`There is no VM ${vm} in this room`));
    const forward = { vmId: 'vm-1', guestPort, hostPort: hostPort === 0 ? 40_000 : hostPort };
    this.open.push(forward);
    return Promise.resolve(forward);
  }
  removeForward(hostPort: number): Promise<boolean> {
    const before = this.open.length;
    this.open = this.open.filter((forward) => forward.hostPort !== hostPort);
    return Promise.resolve(this.open.length < before);
  }
  captureState = (): { running: boolean; frames: number; lost: number } => ({ running: this.capturing, frames: this.capturing ? 7 : 0, lost: 0 });
  startCapture(): void {
    if (this.full) throw new Error('The server captures 8 rooms at a time.');
    this.capturing = true;
  }
  stopCapture(): void {
    this.capturing = false;
  }
  file: Uint8Array = FILE;
  captured = (): ReturnType<RoomControls['captured']> => (this.capturing ? { bytes: this.file.length, pieces: [this.file], dispose: () => undefined } : null);
}

const ROOM = { hosts: [{ id: 'h1', name: 'Ada' }], vms: [], ended: [] };

describe('the routes', () => {
  let server: ServedApp;
  const errors: string[] = [];
  const controls = new FakeControls();
  const lastWords: unknown[] = [];
  const changed: string[] = [];
  const owner = {
    changeKey: () => 'n'.repeat(22),
    removeHost(hostId: string): string {
      if (hostId === 'full') throw new StoreRefusal('full', 'ENOSPC');
      if (hostId !== 'h1') throw new RequestRefused('There is no such host in this room.');
      return 'r'.repeat(22);
    },
    close: () => null,
  };
  const wrong: (string | null)[] = [];
  let isGuessing = false;
  const downloads = new CaptureDownloads(systemClock);

  beforeAll(async () => {
    // In a test environment Express prints no errors.
    vi.stubEnv('NODE_ENV', 'production');
    const page = express.Router();
    page.get('/broken', () => {
      throw new Error('inner detail');
    });
    page.get('/broken-late', (_request, response) => {
      response.write('half of it');
      throw new Error('too late');
    });
    server = await serveApp(
      createRoutes({
        secure: false,
        guest: { directory: '/nonexistent', files: [] },
        rooms: {
          describe: (name, key) => (name === 'default' && key === KEY ? ROOM : null),
          controls: (name, key) => (key !== KEY ? null : name === 'default' ? controls : name === 'quiet' ? 'empty' : null),
          keyChanged: (name) => void changed.push(name),
          owner: (name, secret) => (name === 'default' && secret === OWNER ? owner : null),
          trace: (name, key) => (name === 'default' && key === KEY ? { now: 5, entries: [{ at: 3, subject: 'pc-1', step: 'created' }] } : null),
          lastWord: (name, key, word) => name === 'default' && key === KEY && lastWords.push(word) > 0,
          addresses: () => ['http://192.0.2.1:8686'],
          figures: (key) => (key === KEY ? { sockets: 3 } : null),
        },
        callerOf: () => null,
        tries: { allows: () => !isGuessing, wrong: (address) => void wrong.push(address) },
        metrics: (_request, response) => void response.send('metrics'),
        downloads,
        signalling: (_request, response) => void response.send('signalling'),
        page,
        onError: (error) => errors.push(error.message),
      }),
    );
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    return server.close();
  });

  it('answers /healthz', async () => {
    const answer = await server.get('/healthz');
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body.toString())).toEqual({ status: 'ok' });
  });

  it('describes a room to who has its key', async () => {
    const answer = await server.get('/api/rooms/default', { Authorization: `Bearer ${KEY}` });
    expect(JSON.parse(answer.body.toString())).toEqual(ROOM);
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it('asks for the key when none is sent', async () => {
    expect((await server.get('/api/rooms/default')).status).toBe(401);
    expect((await server.get('/api/rooms/default', { Authorization: `Basic ${KEY}` })).status).toBe(401);
  });

  it('does not tell a wrong key from a room that is not there', async () => {
    const wrongKey = await server.get('/api/rooms/default', { Authorization: `Bearer ${'x'.repeat(22)}` });
    const noRoom = await server.get('/api/rooms/other', { Authorization: `Bearer ${KEY}` });
    expect(wrongKey.status).toBe(403);
    expect(noRoom.body.equals(wrongKey.body)).toBe(true);
  });

  it('tell what happened in a room, to who has its key', async () => {
    const trace = async (key: string): Promise<unknown> => {
      const { status, body } = await server.get('/api/rooms/default/trace', { Authorization: `Bearer ${key}` });
      return status === 200 ? JSON.parse(body.toString()) : status;
    };
    expect([await trace(KEY), await trace('x'.repeat(22))]).toEqual([{ now: 5, entries: [{ at: 3, subject: 'pc-1', step: 'created' }] }, 403]);
  });

  it("takes a tab's last word from who has the room's key, if it is one (NR42)", async () => {
    const word = { hostId: 'h1', hostToken: 't'.repeat(22), vms: [{ vmId: 'vm-1', epoch: 3, ending: { how: 'tab-closed' } }] };
    const post = async (key: string, body: object): Promise<number> =>
      (
        await fetch(`http://127.0.0.1:${server.port}/api/rooms/default/last-word`, {
          method: 'POST',
          headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        })
      ).status;
    expect([await post(KEY, word), await post('x'.repeat(22), word), await post(KEY, { hostId: 'h1' }), await post(KEY, [])]).toEqual([204, 403, 400, 400]);
    expect(lastWords).toEqual([word]);
  });

  it('do for the owner of a room what he may, and say why not', async () => {
    const ask = async (method: string, path: string, secret = OWNER): Promise<unknown[]> => {
      const answer = await fetch(`http://127.0.0.1:${server.port}/api/rooms/${path}`, { method, headers: { Authorization: `Bearer ${secret}` } });
      return [answer.status, answer.status === 204 ? null : ((await answer.json()) as unknown)];
    };
    expect(await ask('PUT', 'default/key')).toEqual([200, { key: 'n'.repeat(22) }]);
    expect(await ask('DELETE', 'default/hosts/h1')).toEqual([200, { key: 'r'.repeat(22) }]);
    expect(await ask('DELETE', 'default/hosts/h2')).toEqual([409, { error: 'There is no such host in this room.' }]);
    expect(await ask('DELETE', 'default/hosts/full')).toMatchObject([503, { error: expect.stringContaining('disk') as string }]);
    expect(await ask('DELETE', 'default')).toEqual([204, null]);
    expect(changed).toEqual(['default', 'default']);
    for (const [method, path] of [
      ['PUT', 'default/key'],
      ['DELETE', 'default/hosts/h1'],
      ['DELETE', 'default'],
    ] as const) {
      expect((await ask(method, path, KEY))[0]).toBe(403);
      expect((await ask(method, path.replace('default', 'other')))[0]).toBe(403);
      expect((await fetch(`http://127.0.0.1:${server.port}/api/rooms/${path}`, { method })).status).toBe(401);
    }
  });

  it('looks at no key of an address that was wrong too often, and says so (NR33)', async () => {
    wrong.length = 0;
    const path = '/api/rooms/default';
    for (const key of [KEY, 'x'.repeat(22), 'y'.repeat(22)]) await server.get(path, { Authorization: `Bearer ${key}` });
    await server.get('/api/relay', { Authorization: `Bearer ${'x'.repeat(22)}` });
    expect(wrong).toEqual([null, null, null]);
    isGuessing = true;
    const refused = await server.get(path, { Authorization: `Bearer ${KEY}` });
    isGuessing = false;
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': '1' } });
    expect(refused.body.toString()).toContain('Too many wrong keys');
  });

  it("gives figures of the relay to who has the default room's key", async () => {
    const answer = await server.get('/api/relay', { Authorization: `Bearer ${KEY}` });
    expect(JSON.parse(answer.body.toString())).toEqual({ sockets: 3 });
    expect((await server.get('/api/relay', { Authorization: `Bearer ${'x'.repeat(22)}` })).status).toBe(403);
    expect((await server.get('/api/relay')).status).toBe(401);
  });

  const ask = (method: string, path: string, body?: unknown, key = KEY): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}/api/rooms/${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });

  it("tells who has the room's key where other computers reach the server", async () => {
    expect(await (await ask('GET', 'default/addresses')).json()).toEqual({ addresses: ['http://192.0.2.1:8686'] });
    expect((await ask('GET', 'default/addresses', undefined, 'x'.repeat(22))).status).not.toBe(200);
  });

  it('lists, adds and removes port forwards at run time (GW45)', async () => {
    const added = await ask('POST', 'default/forwards', { vm: 'pc1', guestPort: 8080 });
    expect([added.status, await added.json()]).toEqual([201, { vmId: 'vm-1', guestPort: 8080, hostPort: 40_000 }]);
    expect((await ask('POST', 'default/forwards', { vm: 'pc1', guestPort: 80, hostPort: 5000 })).status).toBe(201);
    expect(await (await ask('GET', 'default/forwards')).json()).toEqual([
      { vmId: 'vm-1', guestPort: 8080, hostPort: 40_000 },
      { vmId: 'vm-1', guestPort: 80, hostPort: 5000 },
    ]);
    expect((await ask('DELETE', 'default/forwards/5000')).status).toBe(204);
    expect((await ask('DELETE', 'default/forwards/5000')).status).toBe(404);
    expect((await ask('DELETE', 'default/forwards/x')).status).toBe(404);
    expect(await (await ask('GET', 'default/forwards')).json()).toHaveLength(1);
  });

  it('refuses a forward that makes no sense, with a sentence (GW45)', async () => {
    const answer = async (body: unknown): Promise<[number, string]> => {
      const refused = await ask('POST', 'default/forwards', body);
      return [refused.status, ((await refused.json()) as { error: string }).error];
    };
    expect(await answer({ vm: 'nobody', guestPort: 80 })).toEqual([409, 'There is no VM nobody in this room.']);
    expect((await answer({ vm: 'pc1' }))[0]).toBe(400);
    expect((await answer({ vm: 'pc1', guestPort: '80' }))[0]).toBe(400);
    expect((await answer([]))[0]).toBe(400);
    // A room's key alone does not open ports of the machine's own services.
    expect(await answer({ vm: 'pc1', guestPort: 80, hostPort: 443 })).toEqual([
      400,
      'The host port must be 0 (any free one) or at least 1024; only --forward opens lower ones.',
    ]);
    expect((await ask('POST', 'default/forwards', '{ broken')).status).toBe(400);
    expect((await ask('POST', 'default/forwards', { vm: 'x'.repeat(10_000), guestPort: 1 })).status).toBe(413);
  });

  it('refuses a second download of a capture while the first is not read (GW60)', async () => {
    controls.startCapture();
    controls.file = new Uint8Array(32 * 1024 * 1024);
    const first = request({
      host: '127.0.0.1',
      port: server.port,
      path: '/api/rooms/default/capture.pcap',
      headers: { Authorization: `Bearer ${KEY}` },
      agent: false,
    });
    first.end();
    const [begun] = (await once(first, 'response')) as [IncomingMessage];
    expect([begun.statusCode, begun.headers['content-length']]).toEqual([200, String(controls.file.length)]);
    const second = await ask('GET', 'default/capture.pcap');
    expect([second.status, await second.json()]).toEqual([429, { error: 'The capture of this room is being downloaded; try again when that is done.' }]);
    expect(downloads.figures()).toEqual({ open: 1, refusals: { 'room-busy': 1 } });
    // The first download is read now: it is complete, and the next one may start.
    let bytes = 0;
    for await (const piece of begun) bytes += (piece as Buffer).length;
    expect(bytes).toBe(controls.file.length);
    controls.file = FILE;
    const size = await ask('HEAD', 'default/capture.pcap');
    expect([size.status, size.headers.get('content-length')]).toEqual([200, String(FILE.length)]);
    controls.stopCapture();
  });

  it("captures a room's frames and gives them as a file, to who has its key (GW60)", async () => {
    expect((await ask('GET', 'default/capture.pcap')).status).toBe(404);
    expect(await (await ask('PUT', 'default/capture')).json()).toEqual({ running: true, frames: 7, lost: 0 });
    const file = await ask('GET', 'default/capture.pcap');
    expect([file.headers.get('content-type'), file.headers.get('content-disposition'), file.headers.get('cache-control')]).toEqual([
      'application/vnd.tcpdump.pcap',
      'attachment; filename=default.pcap',
      'no-store',
    ]);
    expect(new Uint8Array(await file.arrayBuffer())).toEqual(FILE);
    expect((await ask('DELETE', 'default/capture')).status).toBe(204);
    expect(await (await ask('GET', 'default/capture')).json()).toEqual({ running: false, frames: 0, lost: 0 });
    controls.full = true;
    expect((await ask('PUT', 'default/capture')).status).toBe(409);
  });

  it('changes and shows nothing without the key, and says when a room is empty', async () => {
    controls.open = [{ vmId: 'vm-1', guestPort: 22, hostPort: 6000 }];
    for (const [method, path] of [
      ['GET', 'forwards'],
      ['POST', 'forwards'],
      ['DELETE', 'forwards/6000'],
      ['GET', 'capture'],
      ['PUT', 'capture'],
      ['GET', 'capture.pcap'],
      ['DELETE', 'capture'],
    ] as const) {
      expect((await ask(method, `default/${path}`, undefined, 'x'.repeat(22))).status, path).toBe(403);
      expect((await fetch(`http://127.0.0.1:${server.port}/api/rooms/default/${path}`, { method })).status, path).toBe(401);
      expect((await ask(method, `quiet/${path}`)).status, path).toBe(404);
    }
    expect(controls.open).toHaveLength(1);
  });

  it('tells a visitor nothing of what went wrong inside, and the terminal all', async () => {
    const answer = await server.get('/broken');
    expect(answer.status).toBe(500);
    expect(answer.body.toString()).not.toContain('inner detail');
    expect(errors).toEqual(['inner detail']);
  });

  it('cuts an answer that broke off, and says so nowhere but where it is told', async () => {
    const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    errors.length = 0;
    await expect(server.get('/broken-late')).rejects.toThrow();
    expect(errors).toEqual(['too late']);
    expect(printed).not.toHaveBeenCalled();
  });

  it('answers a path that cannot be decoded, or is not there', async () => {
    expect((await server.get('/api/rooms/%E0%A4%A')).status).toBe(400);
    expect((await server.get('/nothing')).status).toBe(404);
  });

  it('takes from the page what it never uses of the browser, and leaves it the clipboard', async () => {
    const policy = String((await server.get('/healthz')).headers['permissions-policy']);
    for (const feature of ['camera', 'microphone', 'geolocation', 'usb', 'serial', 'display-capture']) expect(policy).toContain(`${feature}=()`);
    expect(policy).not.toMatch(/clipboard|fullscreen/);
  });

  it('keeps windows of other sites from holding on to the page, where browsers heed that', async () => {
    const policy = async (headers: Record<string, string>): Promise<unknown> => (await server.get('/healthz', headers)).headers['cross-origin-opener-policy'];
    expect(await policy({ 'Sec-Fetch-Mode': 'navigate' })).toBe('same-origin');
    // Over plain http from another computer the header would only cause an error in the browser's console.
    expect(await policy({})).toBeUndefined();
  });

  it('sends a policy that lets the page connect to this server only', () => {
    expect(contentSecurityPolicy('10.0.0.1:8686')).toContain("connect-src 'self' ws://10.0.0.1:8686 wss://10.0.0.1:8686;");
    expect(contentSecurityPolicy('x; script-src *')).toContain("connect-src 'self';");
    expect(contentSecurityPolicy(undefined)).toContain("connect-src 'self';");
  });
});
