import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SeededRandom } from '../migration/testing/seeded-random.ts';
import { Emitter } from '../shared/emitter.ts';
import type { HostId } from '../shared/ids.ts';
import { PeerConnections } from './peer-connections.ts';
import type { PeerConnection, Signalling } from './peer-signalling.ts';

const A = 'a' as HostId;
const B = 'b' as HostId;
/** Longer than an attempt may take. */
const LONG_MS = 5000;

type FakeConnection = PeerConnection & { other: FakeConnection | null; closed: boolean };

/** A server for signalling whose messages take as long as the test says; WebRTC itself always works. */
class FakeServer {
  readonly hosts = new Map<HostId, FakeSignalling>();
  dials = 0;
  readonly delayMs: () => number;

  constructor(delayMs: () => number) {
    this.delayMs = delayMs;
  }
}

class FakeSignalling implements Signalling {
  registered = false;
  readonly onRegistered = new Emitter<void>();
  readonly onConnection = new Emitter<PeerConnection>();
  private readonly self: HostId;
  private readonly server: FakeServer;

  constructor(self: HostId, server: FakeServer) {
    this.self = self;
    this.server = server;
    server.hosts.set(self, this);
    setTimeout(() => {
      this.registered = true;
      this.onRegistered.emit();
    }, server.delayMs());
  }

  dial(hostId: HostId, nonce: string): FakeConnection {
    if (!this.registered) throw new Error('PeerJS cannot dial before it is registered');
    this.server.dials++;
    const here = fakeConnection(hostId, nonce);
    setTimeout(() => {
      const there = fakeConnection(this.self, nonce);
      here.other = there;
      there.other = here;
      this.server.hosts.get(hostId)?.onConnection.emit(there);
      if (here.closed || there.closed) return;
      there.opened.emit();
      setTimeout(() => {
        if (!here.closed) here.opened.emit();
      }, this.server.delayMs());
    }, this.server.delayMs());
    return here;
  }

  dispose(): void {
    this.server.hosts.delete(this.self);
  }
}

function fakeConnection(hostId: HostId, nonce: string): FakeConnection {
  const connection: FakeConnection = {
    hostId, nonce, rtc: null, opened: new Emitter(), ended: new Emitter(), other: null, closed: false,
    close() {
      if (connection.closed) return;
      connection.closed = true;
      connection.ended.emit();
      connection.other?.close();
    },
  };
  return connection;
}

/** Two hosts, and the relay between them, whose messages take as long as the test says but keep their order. */
function twoHosts({ signallingMs, relayMs }: { signallingMs: () => number; relayMs: () => number }) {
  const server = new FakeServer(signallingMs);
  const signalling = { [A]: new FakeSignalling(A, server), [B]: new FakeSignalling(B, server) };
  const connections = { [A]: new PeerConnections(A, signalling[A]), [B]: new PeerConnections(B, signalling[B]) };
  const arrival = { [A]: 0, [B]: 0 };
  const overRelay = (to: HostId, deliver: () => void): void => {
    arrival[to] = Math.max(arrival[to] ?? 0, Date.now() + relayMs());
    setTimeout(deliver, arrival[to] - Date.now());
  };
  const invite = (from: HostId, to: HostId, nonce: string): void => {
    if (connections[from]?.invite(to, nonce) !== true) return;
    overRelay(to, () => {
      if (connections[to]?.expect(from, nonce) === true) overRelay(from, () => connections[from]?.expected(to, nonce));
    });
  };
  const states = () => [connections[A]?.state(B), connections[B]?.state(A)];
  return { server, signalling, connections, invite, states };
}

describe('PeerConnections', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it.each([
    { faster: 'the relay', signallingMs: 300, relayMs: 1 },
    { faster: 'the signalling server', signallingMs: 1, relayMs: 300 },
  ])('connects when $faster is the faster one', async ({ signallingMs, relayMs }) => {
    const { invite, states } = twoHosts({ signallingMs: () => signallingMs, relayMs: () => relayMs });
    await vi.advanceTimersByTimeAsync(500);
    invite(A, B, 'nonce');
    expect(states()).toEqual(['trying', 'none']);
    await vi.advanceTimersByTimeAsync(1000);
    expect(states()).toEqual(['open', 'open']);
  });

  it('connects whichever side invites, at whatever moment the servers answer, with one dial', async () => {
    for (let seed = 1; seed <= 500; seed++) {
      const random = new SeededRandom(seed);
      const { server, invite, states } = twoHosts({ signallingMs: () => random.below(400), relayMs: () => random.below(400) });
      const both = random.chance(0.5);
      const first = random.pick([A, B] as const);
      setTimeout(() => invite(first, first === A ? B : A, `first-${seed}`), random.below(200));
      if (both) setTimeout(() => invite(first === A ? B : A, first, `second-${seed}`), random.below(200));
      await vi.advanceTimersByTimeAsync(2500);
      expect(states(), `seed ${seed}`).toEqual(['open', 'open']);
      expect(server.dials, `seed ${seed}`).toBe(1);
    }
  });

  it('refuses a connection that nobody announced, or with another nonce', async () => {
    const { signalling, connections, states } = twoHosts({ signallingMs: () => 10, relayMs: () => 10 });
    await vi.advanceTimersByTimeAsync(100);
    const unannounced = signalling[A]?.dial(B, 'guess');
    await vi.advanceTimersByTimeAsync(100);
    expect(unannounced).toMatchObject({ closed: true });
    connections[B]?.expect(A, 'right');
    const wrong = signalling[A]?.dial(B, 'wrong');
    await vi.advanceTimersByTimeAsync(100);
    expect(wrong).toMatchObject({ closed: true });
    expect(states()).toEqual(['none', 'trying']);
    const right = signalling[A]?.dial(B, 'right');
    await vi.advanceTimersByTimeAsync(100);
    expect(right).toMatchObject({ closed: false });
    const again = signalling[A]?.dial(B, 'right');
    await vi.advanceTimersByTimeAsync(100);
    expect(again).toMatchObject({ closed: true });
    expect(states()).toEqual(['none', 'open']);
  });

  it('does not dial for an answer to another invitation', async () => {
    const { server, connections } = twoHosts({ signallingMs: () => 1, relayMs: () => 1 });
    await vi.advanceTimersByTimeAsync(10);
    connections[A]?.expected(B, 'never invited');
    connections[A]?.invite(B, 'this');
    connections[A]?.expected(B, 'that');
    expect(server.dials).toBe(0);
    connections[A]?.expected(B, 'this');
    connections[A]?.expected(B, 'this');
    expect(server.dials).toBe(1);
  });

  it('counts an attempt without an answer as failed, uses what opens late all the same, and tries anew when asked', async () => {
    const { connections, invite, states } = twoHosts({ signallingMs: () => 1, relayMs: () => 1 });
    await vi.advanceTimersByTimeAsync(10);
    connections[A]?.invite(B, 'late');
    await vi.advanceTimersByTimeAsync(LONG_MS);
    expect(states()).toEqual(['failed', 'none']);
    connections[B]?.expect(A, 'late');
    connections[A]?.expected(B, 'late');
    await vi.advanceTimersByTimeAsync(10);
    expect(states()).toEqual(['open', 'open']);
    expect(connections[A]?.invite(B, 'needless')).toBe(false);

    connections[B]?.forget(A);
    expect(states()).toEqual(['failed', 'none']);
    invite(A, B, 'anew');
    await vi.advanceTimersByTimeAsync(10);
    expect(states()).toEqual(['open', 'open']);
  });

  it('tells each change once, and nothing of hosts that were forgotten', async () => {
    const { connections, invite } = twoHosts({ signallingMs: () => 1, relayMs: () => 1 });
    await vi.advanceTimersByTimeAsync(10);
    const told: string[] = [];
    connections[A]?.changed.on((hostId) => told.push(connections[A]?.state(hostId) ?? ''));
    invite(A, B, 'nonce');
    await vi.advanceTimersByTimeAsync(LONG_MS);
    connections[A]?.forget(B);
    await vi.advanceTimersByTimeAsync(LONG_MS);
    expect(told).toEqual(['trying', 'open', 'none']);
  });
});
