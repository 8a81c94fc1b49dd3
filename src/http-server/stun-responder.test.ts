import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { startStunResponder } from './stun-responder.ts';

describe('the STUN responder', () => {
  it('tells a client the address and port it is seen under, stays silent to noise, and frees its port', async () => {
    const client = createSocket('udp4');
    client.bind(0, '127.0.0.1');
    await once(client, 'listening');
    const free = createSocket('udp4');
    free.bind(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address();
    await new Promise<void>((resolve) => free.close(resolve));

    const responder = await startStunResponder(port, '127.0.0.1');
    const answered = once(client, 'message') as Promise<[Buffer]>;
    client.send(Buffer.from('nonsense'), port, '127.0.0.1');
    client.send(Buffer.from('000100002112a4420102030405060708090a0b0c', 'hex'), port, '127.0.0.1');
    const [answer] = await answered;
    expect(answer.subarray(8, 20).toString('hex')).toBe('0102030405060708090a0b0c');
    expect(answer.readUInt16BE(26) ^ 0x2112).toBe(client.address().port);
    expect((answer.readUInt32BE(28) ^ 0x2112a442) >>> 0).toBe(0x7f000001);
    client.close();

    responder.dispose();
    responder.dispose();
    const again = await startStunResponder(port, '127.0.0.1');
    await expect(startStunResponder(port, '127.0.0.1')).rejects.toMatchObject({ code: 'EADDRINUSE' });
    again.dispose();
  });
});
