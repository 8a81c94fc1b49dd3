import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { metrics, type ServerFigures } from './metrics.ts';
import { serveApp, type ServedApp } from './testing/serve-app.ts';

const KEY = 'operator-key-0123456789';

describe('the figures for Prometheus', () => {
  let [withKey, without] = [undefined, undefined] as unknown as ServedApp[] as [ServedApp, ServedApp];
  const figures: ServerFigures = {
    sockets: 3,
    rooms: 2,
    vms: 1,
    heldFrames: 4,
    heldBytes: 5000,
    refusals: { key: 7, slowed: 1 },
    dropped: { 'slow-port': 9 },
    signalling: { sockets: 6, waitingBytes: 8, absentBytes: 0, refusals: { 'too-fast': 2 } },
    connections: { refusals: { 'connections-waiting': 2 } },
    ownErrors: { 'failed-request': 1 },
  };
  beforeAll(async () => {
    const app = (operatorKey: string | null) => serveApp(express().get('/metrics', metrics({ figures: () => figures, operatorKey })));
    [withKey, without] = [await app(KEY), await app(null)];
  });
  afterAll(() => Promise.all([withKey.close(), without.close()]));

  it('are what the server counts by name, and what the process takes', async () => {
    for (let time = 0; time < 2; time++) {
      const answer = await without.get('/metrics');
      expect(answer.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
      const lines = answer.body.toString().split('\n');
      for (const line of [
        'tabmotion_sockets 3',
        'tabmotion_rooms 2',
        'tabmotion_vms 1',
        'tabmotion_held_bytes 5000',
        'tabmotion_refusals_total{name="key"} 7',
        'tabmotion_refusals_total{name="slowed"} 1',
        'tabmotion_dropped_frames{name="slow-port"} 9',
        'tabmotion_signalling_sockets 6',
        'tabmotion_signalling_refusals_total{name="too-fast"} 2',
        'tabmotion_own_errors_total{name="failed-request"} 1',
      ])
        expect(lines).toContain(line);
      expect(lines.some((line) => /^process_resident_memory_bytes \d+/.test(line))).toBe(true);
      expect(lines.some((line) => line.startsWith('nodejs_eventloop_lag_p99_seconds '))).toBe(true);
    }
  });

  it("are shown to this machine and to who has the operator's key, not to those for whom a proxy on it asks", async () => {
    const status = async (server: ServedApp, headers: Record<string, string>): Promise<number> => (await server.get('/metrics', headers)).status;
    const stranger = { 'X-Forwarded-For': '192.0.2.1' };
    expect(await status(withKey, stranger)).toBe(401);
    expect(await status(withKey, { Host: 'tabmotion.example' })).toBe(401);
    expect(await status(withKey, { ...stranger, Authorization: 'Bearer another-key-0123456789' })).toBe(401);
    expect(await status(without, { ...stranger, Authorization: 'Bearer null' })).toBe(401);
    expect(await status(withKey, { ...stranger, Authorization: `Bearer ${KEY}` })).toBe(200);
    expect((await without.get('/metrics', stranger)).body.toString()).toContain('--operator-key KEY');
  });
});
