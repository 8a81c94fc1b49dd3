import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../migration/testing/seeded-random.ts';
import { HeapClock } from '../testing/heap-clock.ts';
import { CLEAN, impaired, LossyWire, type Impairment } from '../testing/lossy-wire.ts';
import { join, noise, TcpHost, TestApplication } from '../testing/tcp-host.ts';
import { serializeTcp, TcpFlag } from './segment.ts';
import { GIVE_UP_MS } from './tcp-sender.ts';

const CLIENT = 0x0a560001;
const SERVER = 0x0a560002;

interface World {
  readonly clock: HeapClock;
  readonly client: TcpHost;
  readonly server: TcpHost;
  readonly up: LossyWire;
  readonly down: LossyWire;
}

function world(impairment: Impairment = CLEAN, seed = 1): World {
  const clock = new HeapClock();
  const random = new SeededRandom(seed);
  const up = new LossyWire(clock, random, impairment, (bytes) => server.receive(bytes, CLIENT));
  const down = new LossyWire(clock, random, impairment, (bytes) => client.receive(bytes, SERVER));
  const client: TcpHost = new TcpHost(CLIENT, clock, random, (bytes) => up.send(bytes));
  const server: TcpHost = new TcpHost(SERVER, clock, random, (bytes) => down.send(bytes));
  return { clock, client, server, up, down };
}

/** Lets time pass until `done`, or `limitMs` have passed. */
function runUntil(clock: HeapClock, done: () => boolean, limitMs = 120_000): void {
  const end = clock.now() + limitMs;
  while (!done() && (clock.nextAt ?? Number.POSITIVE_INFINITY) <= end) clock.fireNext();
}

function pass(clock: HeapClock, ms: number): void {
  const end = clock.now() + ms;
  while ((clock.nextAt ?? Number.POSITIVE_INFINITY) <= end) clock.fireNext();
  clock.pass(end - clock.now());
}

function connect(
  w: World,
  clientSends: Uint8Array = new Uint8Array(0),
  serverSends: Uint8Array = new Uint8Array(0),
  end = true,
): { client: TestApplication; server: TestApplication } {
  const server = new TestApplication(serverSends, end);
  const client = new TestApplication(clientSends, end);
  w.server.listener = () => server;
  w.client.connect(SERVER, 80, client);
  return { client, server };
}

describe('TCP between two stacks', () => {
  it('carries bytes both ways and ends in order, leaving nothing behind after TIME-WAIT (GW20)', () => {
    const w = world();
    const request = noise(1, 200_000);
    const response = noise(2, 3_000_000);
    const { client, server } = connect(w, request, response);
    runUntil(w.clock, () => client.closed !== null && server.closed !== null);
    expect([client.closed, server.closed]).toEqual(['done', 'done']);
    expect(Buffer.compare(join(server.received), request)).toBe(0);
    expect(Buffer.compare(join(client.received), response)).toBe(0);
    pass(w.clock, 60_000);
    expect(w.clock.pending).toBe(0);
    expect([...w.client.stack.connections(), ...w.server.stack.connections()]).toEqual([]);
    expect(w.client.counters.get('tcp-retransmitted') + w.server.counters.get('tcp-retransmitted')).toBe(0);
  });

  it('agrees on window scaling, SACK and timestamps, and offers an MSS that fits the LAN (GW21)', () => {
    const w = world();
    const { client } = connect(w, new Uint8Array(0), new Uint8Array(0), false);
    runUntil(w.clock, () => client.established);
    const syn = w.client.log[0];
    expect(syn?.options).toMatchObject({ mss: 1460, windowShift: 6, sackPermitted: true });
    expect(syn?.options.timestamp).toBeDefined();
    expect(w.server.log[0]?.flags).toBe(TcpFlag.syn | TcpFlag.ack);
    expect(w.client.log[1]?.options.timestamp?.echo).toBe(w.server.log[0]?.options.timestamp?.value);
  });

  it('refuses a closed port at once (GW22)', () => {
    const w = world();
    const client = new TestApplication(new Uint8Array(0), false);
    w.client.connect(SERVER, 81, client);
    runUntil(w.clock, () => client.closed !== null, 10);
    expect(client.closed).toBe('refused');
    expect(w.clock.pending).toBe(0);
  });

  it('lets each side go on sending after the other has ended its half (GW23)', () => {
    const w = world();
    const answer = noise(3, 500_000);
    const server = new TestApplication(new Uint8Array(0), false);
    const client = new TestApplication(noise(4, 10), true);
    w.server.listener = () => server;
    w.client.connect(SERVER, 80, client);
    pass(w.clock, 5_000);
    expect(server.ended).toBe(true);
    expect(client.ended).toBe(false);
    expect(client.connection?.state).toBe('fin-wait-2');
    server.send(answer);
    pass(w.clock, 5_000);
    server.connection?.shutdown();
    runUntil(w.clock, () => client.ended);
    expect(Buffer.compare(join(client.received), answer)).toBe(0);
  });

  it('delivers everything over wires that lose, double and reorder frames, whatever the seed (GW24)', () => {
    for (const [probability, seeds, bytes] of [
      [0.01, 12, 400_000],
      [0.05, 12, 200_000],
      [0.2, 6, 60_000],
    ] as const) {
      for (let seed = 1; seed <= seeds; seed++) {
        const w = world(impaired(probability), seed);
        const request = noise(seed, bytes);
        const response = noise(seed + 1000, bytes);
        const { client, server } = connect(w, request, response);
        runUntil(w.clock, () => client.closed !== null && server.closed !== null, 600_000);
        const label = `seed ${seed}, probability ${probability}`;
        expect(Buffer.compare(join(server.received), request), label).toBe(0);
        expect(Buffer.compare(join(client.received), response), label).toBe(0);
        // The last ACK may be lost for good: then one side gives up its silence with a reset, after all data.
        expect(client.ended && server.ended, label).toBe(true);
      }
    }
  });

  it('recovers from scattered losses without waiting for its timer (GW25)', () => {
    const w = world({ ...CLEAN, drop: 0.01 }, 5);
    const response = noise(9, 4_000_000);
    const { client } = connect(w, new Uint8Array(0), response);
    runUntil(w.clock, () => client.receivedBytes === response.length);
    expect(w.server.counters.get('tcp-retransmitted')).toBeGreaterThan(10);
    expect(w.server.counters.get('tcp-timeouts')).toBeLessThan(4);
  });

  it('holds still through a pause of two seconds: a handful of retransmissions, no reset, full speed after it (GW26)', () => {
    const w = world();
    const response = noise(9, 12_000_000);
    const { client } = connect(w, new Uint8Array(0), response);
    runUntil(w.clock, () => client.receivedBytes > 3_000_000);
    // What the switch does in a hold: frames to the stopped guest wait, in order.
    const held: Uint8Array[] = [];
    const stopped = w.down;
    const deliver = stopped.send.bind(stopped);
    stopped.send = (frame) => void held.push(frame);
    pass(w.clock, 2_000);
    const repeated = w.server.counters.get('tcp-retransmitted');
    expect(repeated).toBeLessThanOrEqual(5);
    stopped.send = deliver;
    for (const frame of held) deliver(frame);
    const bytesBefore = client.receivedBytes;
    pass(w.clock, 100);
    expect(client.receivedBytes - bytesBefore).toBeGreaterThan(3_000_000);
    expect(w.server.counters.get('tcp-retransmitted')).toBeLessThanOrEqual(repeated + 1);
    expect(w.server.counters.get('tcp-spurious-timeouts')).toBe(1);
    runUntil(w.clock, () => client.closed !== null);
    expect(Buffer.compare(join(client.received), response)).toBe(0);
  });

  it('stops at a closed window, probes it, and goes on when it opens, even if the opening was lost (GW27)', () => {
    const w = world();
    const response = noise(9, 1_000_000);
    const { client } = connect(w, new Uint8Array(0), response);
    client.reading = false;
    pass(w.clock, 60_000);
    expect(client.receivedBytes).toBe(0);
    const probes = w.server.counters.get('tcp-window-probes');
    expect(probes).toBeGreaterThan(3);
    expect(probes).toBeLessThan(20);
    w.up.impairment = { ...CLEAN, drop: 1 };
    client.reading = true;
    client.readAll();
    pass(w.clock, 1_000);
    w.up.impairment = CLEAN;
    runUntil(w.clock, () => client.receivedBytes === response.length);
    expect(Buffer.compare(join(client.received), response)).toBe(0);
  });

  it('takes no more from its owner than its buffer holds while the peer does not read (GW28)', () => {
    const w = world();
    const { client, server } = connect(w, new Uint8Array(0), new Uint8Array(50_000_000), false);
    client.reading = false;
    pass(w.clock, 60_000);
    expect(server.allSent).toBe(false);
    expect(server.connection?.allocated).toBeLessThanOrEqual(1024 * 1024);
    expect(client.connection?.allocated).toBeLessThanOrEqual(256 * 1024);
  });

  it('gives up a silent peer after a quarter of an hour, not before (GW29)', () => {
    const w = world();
    const { server } = connect(w, new Uint8Array(0), new Uint8Array(0), false);
    runUntil(w.clock, () => server.established);
    w.down.impairment = { ...CLEAN, drop: 1 };
    server.send(new Uint8Array(100));
    pass(w.clock, GIVE_UP_MS - 1_000);
    expect(server.closed).toBe(null);
    pass(w.clock, 120_000);
    expect(server.closed).toBe('timed-out');
  });

  it('goes on at once, not at the end of a long wait, when it is told that the peer is back (GW30)', () => {
    const w = world();
    const { client, server } = connect(w, new Uint8Array(0), new Uint8Array(0), false);
    runUntil(w.clock, () => server.established);
    w.down.impairment = { ...CLEAN, drop: 1 };
    server.send(new Uint8Array(100));
    pass(w.clock, 100_000);
    w.down.impairment = CLEAN;
    server.connection?.nudge();
    pass(w.clock, 10);
    expect(client.receivedBytes).toBe(100);
  });

  it('asks an idle peer whether it is there, after two hours, and gives it up when it is not (GW31)', () => {
    const w = world();
    const { client, server } = connect(w, new Uint8Array(0), new Uint8Array(0), false);
    pass(w.clock, 3 * 3_600_000);
    expect([client.closed, server.closed]).toEqual([null, null]);
    w.up.impairment = { ...CLEAN, drop: 1 };
    w.down.impairment = { ...CLEAN, drop: 1 };
    pass(w.clock, 3 * 3_600_000);
    expect([client.closed, server.closed]).toEqual(['timed-out', 'timed-out']);
  });

  it('gives up a connect that nobody answers after a minute (GW32)', () => {
    const w = world({ ...CLEAN, drop: 1 });
    const { client } = connect(w);
    pass(w.clock, 59_000);
    expect(client.closed).toBe(null);
    pass(w.clock, 60_000);
    expect(client.closed).toBe('timed-out');
    expect(w.clock.pending).toBe(0);
  });

  it('is not closed by a reset or a SYN that only falls near its window (GW33)', () => {
    const w = world();
    const { client, server } = connect(w, new Uint8Array(0), new Uint8Array(0), false);
    runUntil(w.clock, () => server.established);
    const connection = server.connection!;
    const forged = { sourcePort: connection.endpoints.remotePort, destinationPort: 80, ack: 0, window: 0, options: {}, payload: new Uint8Array(0) };
    connection.receive({ ...forged, seq: connection.received + 5, flags: TcpFlag.rst });
    connection.receive({ ...forged, seq: connection.received + 200, flags: TcpFlag.syn });
    connection.receive({ ...forged, seq: connection.received - 10, flags: TcpFlag.rst });
    expect(server.closed).toBe(null);
    connection.receive({ ...forged, seq: connection.received, flags: TcpFlag.rst });
    expect(server.closed).toBe('reset');
    expect(client.closed).toBe(null);
  });

  it('acknowledges every second full segment of a stream, not each (GW34)', () => {
    const w = world();
    const response = noise(9, 5_000_000);
    const { client } = connect(w, new Uint8Array(0), response);
    runUntil(w.clock, () => client.receivedBytes === response.length);
    const segments = w.server.log.filter((segment) => segment.payload.length > 0).length;
    const acks = w.client.log.filter((segment) => segment.payload.length === 0).length;
    expect(acks / segments).toBeLessThan(0.6);
  });

  it('acknowledges a lone segment within 40 ms, and an opened window at once (GW27, GW34)', () => {
    const w = world();
    const { client, server } = connect(w, new Uint8Array(0), noise(1, 200_000), false);
    pass(w.clock, 1000);
    w.client.log.length = 0;
    server.send(new Uint8Array(100));
    pass(w.clock, 20);
    expect(w.client.log).toHaveLength(0);
    pass(w.clock, 30);
    expect(w.client.log).toHaveLength(1);
    client.reading = false;
    server.send(new Uint8Array(1_000_000));
    pass(w.clock, 100);
    w.client.log.length = 0;
    client.reading = true;
    client.readAll();
    expect(w.client.log.at(-1)?.window).toBeGreaterThan(1000);
  });

  it('stays in TIME-WAIT for as long as the peer repeats its FIN, and lets the port pair be used again by a newer SYN (GW20)', () => {
    const w = world();
    const { client, server } = connect(w, new Uint8Array(10), new Uint8Array(10));
    runUntil(w.clock, () => server.connection?.state === 'time-wait' || client.connection?.state === 'time-wait');
    const host = server.connection?.state === 'time-wait' ? w.server : w.client;
    const waiting = (host === w.server ? server : client).connection!;
    expect([host.stack.open, host.stack.waiting]).toEqual([0, 1]);
    const { remotePort, localPort } = waiting.endpoints;
    const late = { sourcePort: remotePort, destinationPort: localPort, ack: 0, window: 1000, options: {}, payload: new Uint8Array(0) };
    pass(w.clock, 6_000);
    waiting.receive({ ...late, seq: waiting.received - 1, flags: TcpFlag.fin | TcpFlag.ack });
    pass(w.clock, 6_000);
    expect(waiting.state).toBe('time-wait');
    // The other end does not know of the segments forged here.
    w.up.impairment = { ...CLEAN, drop: 1 };
    w.down.impairment = { ...CLEAN, drop: 1 };
    const again = new TestApplication(new Uint8Array(0), false);
    host.listener = () => again;
    const from = host === w.server ? CLIENT : SERVER;
    const to = host === w.server ? SERVER : CLIENT;
    host.receive(serializeTcp({ ...late, seq: waiting.received - 5, flags: TcpFlag.syn }, from, to), from);
    expect(again.connection).toBe(null);
    host.receive(serializeTcp({ ...late, seq: waiting.received + 5, flags: TcpFlag.syn }, from, to), from);
    expect(again.connection?.state).toBe('syn-received');
    pass(w.clock, 20_000);
    expect([host.stack.open, host.stack.waiting]).toEqual([1, 0]);
  });

  it('does not wait for ever for a peer that never ends its side, once the owner has gone (GW20)', () => {
    const w = world();
    const { client, server } = connect(w, new Uint8Array(0), new Uint8Array(0), false);
    pass(w.clock, 100);
    client.connection?.shutdown();
    client.connection?.orphan();
    pass(w.clock, 59_000);
    expect(client.closed).toBe(null);
    pass(w.clock, 2_000);
    expect([client.closed, server.closed]).toEqual(['aborted', 'reset']);
  });

  it('answers segments outside its window only so often (GW33)', () => {
    const w = world();
    const { server } = connect(w, new Uint8Array(0), new Uint8Array(0), false);
    pass(w.clock, 100);
    const connection = server.connection!;
    w.server.log.length = 0;
    const stray = {
      sourcePort: connection.endpoints.remotePort,
      destinationPort: 80,
      seq: connection.received - 9,
      ack: 0,
      flags: TcpFlag.ack,
      window: 0,
      options: {},
      payload: new Uint8Array(0),
    };
    for (let count = 0; count < 1000; count++) connection.receive(stray);
    expect(w.server.log).toHaveLength(1);
  });

  it('opens one connection when both ends call each other at the same time (GW20)', () => {
    const clock = new HeapClock();
    const random = new SeededRandom(1);
    const sent: (() => void)[] = [];
    const a: TcpHost = new TcpHost(CLIENT, clock, random, (bytes) => void sent.push(() => b.receive(bytes, CLIENT)));
    const b: TcpHost = new TcpHost(SERVER, clock, random, (bytes) => void sent.push(() => a.receive(bytes, SERVER)));
    const first = new TestApplication(new Uint8Array([1]), false);
    const connection = a.connect(SERVER, 5000, first);
    // The other end connects from that port to our port: its SYN crosses ours.
    sent.length = 0;
    const crossing = {
      sourcePort: 5000,
      destinationPort: connection.endpoints.localPort,
      seq: 77,
      ack: 0,
      flags: TcpFlag.syn,
      window: 1000,
      options: {},
      payload: new Uint8Array(0),
    };
    connection.receive(crossing);
    expect(connection.state).toBe('syn-received');
    connection.receive({ ...crossing, seq: 78, ack: ((a.log[0]?.seq ?? 0) + 1) >>> 0, flags: TcpFlag.ack });
    expect(first.established).toBe(true);
  });
});
