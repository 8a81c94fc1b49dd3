import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRoutes } from './routes.ts';
import { contentSecurityPolicy } from './security-headers.ts';
import { serveApp, type ServedApp } from './testing/serve-app.ts';

const KEY = 'k'.repeat(22);
const ROOM = { hosts: [{ id: 'h1', name: 'Ada' }], vms: [] };

describe('the routes', () => {
  let server: ServedApp;
  const errors: string[] = [];

  beforeAll(async () => {
    const page = express.Router();
    page.get('/broken', () => {
      throw new Error('inner detail');
    });
    server = await serveApp(
      createRoutes({
        secure: false,
        guest: { directory: '/nonexistent', files: [] },
        rooms: { describe: (name, key) => (name === 'default' && key === KEY ? ROOM : null), figures: (key) => (key === KEY ? { sockets: 3 } : null) },
        signalling: (_request, response) => void response.send('signalling'),
        page,
        onError: (error) => errors.push(error.message),
      }),
    );
  });
  afterAll(() => server.close());

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

  it('gives figures of the relay to who has the default room\'s key', async () => {
    const answer = await server.get('/api/relay', { Authorization: `Bearer ${KEY}` });
    expect(JSON.parse(answer.body.toString())).toEqual({ sockets: 3 });
    expect((await server.get('/api/relay', { Authorization: `Bearer ${'x'.repeat(22)}` })).status).toBe(403);
    expect((await server.get('/api/relay')).status).toBe(401);
  });

  it('tells a visitor nothing of what went wrong inside, and the terminal all', async () => {
    const answer = await server.get('/broken');
    expect(answer.status).toBe(500);
    expect(answer.body.toString()).not.toContain('inner detail');
    expect(errors).toEqual(['inner detail']);
  });

  it('answers a path that cannot be decoded, or is not there', async () => {
    expect((await server.get('/api/rooms/%E0%A4%A')).status).toBe(400);
    expect((await server.get('/nothing')).status).toBe(404);
  });

  it('sends a policy that lets the page connect to this server only', () => {
    expect(contentSecurityPolicy('10.0.0.1:8686')).toContain("connect-src 'self' ws://10.0.0.1:8686 wss://10.0.0.1:8686;");
    expect(contentSecurityPolicy('x; script-src *')).toContain("connect-src 'self';");
    expect(contentSecurityPolicy(undefined)).toContain("connect-src 'self';");
  });
});
