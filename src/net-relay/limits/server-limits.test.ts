import { afterEach, describe, expect, it } from 'vitest';
import type { ServerLimits } from './server-limits.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

describe('limits of the server', () => {
  let lan: VirtualLan;
  const open = (limits: Partial<ServerLimits>): void => void (lan = new VirtualLan(limits));

  afterEach(() => lan.dispose());

  const joins = async (hostId: string, room: string): Promise<string> => {
    const host = lan.host(hostId, room, `a-key-of-the-room-${room}-0123456789`);
    await lan.pass(100);
    return host.state.kind;
  };

  it('refuses a socket too many, which its client tries again', async () => {
    open({ sockets: 2 });
    expect([await joins('a', 'one'), await joins('b', 'one'), await joins('c', 'one')]).toEqual(['connected', 'connected', 'lost']);
    expect(lan.relay.stats()).toMatchObject({ sockets: 2 });
    expect(lan.relay.stats().refusals['relay-full']).toBeGreaterThan(0);
  });

  it('refuses a socket too many of one address, and none of another, nor of this machine', async () => {
    open({ socketsPerAddress: 2 });
    const refused: (string | null)[] = [];
    const connect = (address: string | null): { readonly closed: (orderly: boolean) => void } =>
      lan.relay.connect(
        'host',
        {
          backlogBytes: 0,
          sendText: () => refused.push(address),
          sendUtf8: () => undefined,
          sendBinary: () => undefined,
          pause: () => undefined,
          resume: () => undefined,
          close: () => undefined,
          terminate: () => undefined,
        },
        { address },
      );
    const [first, , third] = [
      connect('192.0.2.1'),
      connect('192.0.2.1'),
      connect('192.0.2.1'),
      connect('192.0.2.2'),
      connect(null),
      connect(null),
      connect(null),
    ];
    expect(refused).toEqual(['192.0.2.1']);
    expect(lan.relay.stats().refusals).toEqual({ 'address-full': 1 });
    for (const socket of [first, third]) socket.closed(true);
    connect('192.0.2.1');
    expect(refused).toHaveLength(1);
    await lan.pass(20);
  });

  it('refuses a room too many, and lets others into those that are open', async () => {
    open({ rooms: 2 });
    expect([await joins('a', 'one'), await joins('b', 'two'), await joins('c', 'three')]).toEqual(['connected', 'connected', 'lost']);
    expect(await joins('d', 'one')).toBe('connected');
  });
});
