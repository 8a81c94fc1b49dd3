import { describe, expect, it } from 'vitest';
import { createRoomApi } from './room-api.ts';

/** A server that answers what the test says, and what it was asked. */
function api(answer: () => Response | Promise<Response>) {
  const asked: { method: string; url: string; key: string | null; keepalive: boolean; body: unknown }[] = [];
  const made = createRoomApi({
    base: new URL('https://example.org/lan/'),
    room: 'mine',
    key: () => 'k'.repeat(22),
    ownerSecret: 'o'.repeat(22),
    fetch: async (url, init) => {
      asked.push({
        method: init?.method ?? '',
        url: url instanceof URL ? url.href : '?',
        key: new Headers(init?.headers).get('authorization'),
        keepalive: init?.keepalive ?? false,
        body: typeof init?.body === 'string' ? JSON.parse(init.body) : null,
      });
      return answer();
    },
  });
  return { made, asked };
}

describe("the room's API, as the page calls it", () => {
  it('carries the key, under whatever path the page lies', async () => {
    const { made, asked } = api(() => Response.json({ vmId: 'vm-1', guestPort: 80, hostPort: 40_000 }, { status: 201 }));
    expect(await made.addForward('vm-1', 80, 0)).toEqual({ guestPort: 80, hostPort: 40_000 });
    expect(asked).toEqual([
      {
        method: 'POST',
        url: 'https://example.org/lan/api/rooms/mine/forwards',
        key: `Bearer ${'k'.repeat(22)}`,
        keepalive: false,
        body: { vm: 'vm-1', guestPort: 80, hostPort: 0 },
      },
    ]);
  });

  it("asks for what the owner may with the owner's secret, and gives the new key back", async () => {
    let answer = (): Response => Response.json({ key: 'n'.repeat(22) });
    const { made, asked } = api(() => answer());
    expect([await made.changeKey(), await made.removeHost('host-2')]).toEqual(['n'.repeat(22), 'n'.repeat(22)]);
    answer = () => new Response(null, { status: 204 });
    expect(await made.closeRoom()).toBeNull();
    expect(asked.map(({ method, url, key }) => [method, url, key])).toEqual([
      ['PUT', 'https://example.org/lan/api/rooms/mine/key', `Bearer ${'o'.repeat(22)}`],
      ['DELETE', 'https://example.org/lan/api/rooms/mine/hosts/host-2', `Bearer ${'o'.repeat(22)}`],
      ['DELETE', 'https://example.org/lan/api/rooms/mine', `Bearer ${'o'.repeat(22)}`],
    ]);
  });

  it('asks for captures and removes forwards', async () => {
    const { made, asked } = api(() => Response.json({ running: true, frames: 3, lost: 0 }));
    expect(await made.startCapture()).toEqual({ running: true, frames: 3, lost: 0 });
    await made.captureState();
    await made.captured();
    await made.stopCapture();
    await made.removeForward(5000);
    expect(asked.map(({ method, url }) => `${method} ${url.split('/mine/')[1] ?? ''}`)).toEqual([
      'PUT capture',
      'GET capture',
      'GET capture.pcap',
      'DELETE capture',
      'DELETE forwards/5000',
    ]);
  });

  it('tells a last word that outlives the page, and does not wait for the answer', () => {
    const { made, asked } = api(() => Promise.reject(new TypeError('The page has gone.')));
    const word = { hostId: 'a', hostToken: 't'.repeat(22), vms: [{ vmId: 'vm-1', epoch: 1, ending: { how: 'tab-closed' as const } }] };
    made.lastWord(word);
    expect(asked).toMatchObject([{ method: 'POST', url: 'https://example.org/lan/api/rooms/mine/last-word', keepalive: true, body: word }]);
  });

  it("rejects with the server's own sentence, and with one of its own when there is none (I5)", async () => {
    await expect(api(() => Response.json({ error: 'Port 5000 of the host is taken.' }, { status: 409 })).made.addForward('vm-1', 80, 5000)).rejects.toThrow(
      'Port 5000 of the host is taken.',
    );
    await expect(api(() => new Response('<html>', { status: 502 })).made.startCapture()).rejects.toThrow('The server refused this (502).');
    await expect(api(() => Promise.reject(new TypeError('fetch failed'))).made.captureState()).rejects.toThrow('The server cannot be reached.');
    await expect(api(() => Response.json({ hostPort: 'x' })).made.addForward('vm-1', 80, 0)).rejects.toThrow();
  });

  it('asks for the addresses of an invitation', async () => {
    const { made, asked } = api(() => Response.json({ addresses: ['http://192.0.2.1:8686'] }));
    expect(await made.addresses()).toEqual(['http://192.0.2.1:8686']);
    expect(asked.map(({ method, url }) => [method, url])).toEqual([['GET', 'https://example.org/lan/api/rooms/mine/addresses']]);
    await expect(api(() => Response.json({ addresses: ['not one'] })).made.addresses()).rejects.toThrow();
  });
});
