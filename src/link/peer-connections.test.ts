import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SeededRandom } from '../migration/testing/seeded-random.ts';
import { Emitter } from '../shared/emitter.ts';
import type { HostId } from '../shared/ids.ts';
import { PeerConnections } from './peer-connections.ts';
import type { PeerConnection, Signalling } from './peer-signalling.ts';
import { systemClock } from '../shared/system-clock.ts';

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
    hostId,
    nonce,
    rtc: null,
    opened: new Emitter(),
    ended: new Emitter(),
    other: null,
    closed: false,
    close() {
      if (connection.closed) return;
      connection.closed = true;
      connection.ended.emit();
      connection.other?.close();
    },
  };
  return connection;
}

class FakeHost {
  readonly id: HostId;
  readonly signalling: FakeSignalling;
  readonly connections: PeerConnections;
  /** When the last message that is on its way here arrives. */
  arrival = 0;

  constructor(id: HostId, server: FakeServer) {
    this.id = id;
    this.signalling = new FakeSignalling(id, server);
    this.connections = new PeerConnections(id, this.signalling, systemClock);
  }
}

/** Two hosts with the relay between them. Its messages take as long as the test says, but keep their order. */
function twoHosts({ signallingMs, relayMs }: { signallingMs: () => number; relayMs: () => number }) {
  const server = new FakeServer(signallingMs);
  const a = new FakeHost(A, server);
  const b = new FakeHost(B, server);
  const overRelay = (to: FakeHost, deliver: () => void): void => {
    to.arrival = Math.max(to.arrival, Date.now() + relayMs());
    setTimeout(deliver, to.arrival - Date.now());
  };
  const invite = (from: FakeHost, to: FakeHost, nonce: string): void => {
    if (!from.connections.invite(to.id, nonce)) return;
    overRelay(to, () => {
      if (to.connections.expect(from.id, nonce)) overRelay(from, () => from.connections.expected(to.id, nonce));
    });
  };
  const states = () => [a.connections.state(B), b.connections.state(A)];
  return { server, a, b, invite, states };
}

describe('PeerConnections', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it.each([
    { faster: 'the relay', signallingMs: 300, relayMs: 1 },
    { faster: 'the signalling server', signallingMs: 1, relayMs: 300 },
  ])('connects when $faster is the faster one', async ({ signallingMs, relayMs }) => {
    const { a, b, invite, states } = twoHosts({ signallingMs: () => signallingMs, relayMs: () => relayMs });
    await vi.advanceTimersByTimeAsync(500);
    invite(a, b, 'nonce');
    expect(states()).toEqual(['trying', 'none']);
    await vi.advanceTimersByTimeAsync(1000);
    expect(states()).toEqual(['open', 'open']);
  });

  it('connects whichever side invites, at whatever moment the servers answer, with one dial', async () => {
    for (let seed = 1; seed <= 500; seed++) {
      const random = new SeededRandom(seed);
      const { server, a, b, invite, states } = twoHosts({ signallingMs: () => random.below(400), relayMs: () => random.below(400) });
      const both = random.chance(0.5);
      const [one, other] = random.chance(0.5) ? [a, b] : [b, a];
      setTimeout(() => invite(one, other, `one-${seed}`), random.below(200));
      if (both) setTimeout(() => invite(other, one, `other-${seed}`), random.below(200));
      await vi.advanceTimersByTimeAsync(2500);
      expect(states(), `seed ${seed}`).toEqual(['open', 'open']);
      expect(server.dials, `seed ${seed}`).toBe(1);
    }
  });

  it('refuses a connection that nobody announced, or with another nonce', async () => {
    const { a, b, states } = twoHosts({ signallingMs: () => 10, relayMs: () => 10 });
    await vi.advanceTimersByTimeAsync(100);
    const unannounced = a.signalling.dial(B, 'guess');
    await vi.advanceTimersByTimeAsync(100);
    expect(unannounced).toMatchObject({ closed: true });
    b.connections.expect(A, 'right');
    const wrong = a.signalling.dial(B, 'wrong');
    await vi.advanceTimersByTimeAsync(100);
    expect(wrong).toMatchObject({ closed: true });
    expect(states()).toEqual(['none', 'trying']);
    const right = a.signalling.dial(B, 'right');
    await vi.advanceTimersByTimeAsync(100);
    expect(right).toMatchObject({ closed: false });
    const again = a.signalling.dial(B, 'right');
    await vi.advanceTimersByTimeAsync(100);
    expect(again).toMatchObject({ closed: true });
    expect(states()).toEqual(['none', 'open']);
  });

  it('does not dial for an answer to another invitation', async () => {
    const { server, a } = twoHosts({ signallingMs: () => 1, relayMs: () => 1 });
    await vi.advanceTimersByTimeAsync(10);
    a.connections.expected(B, 'never invited');
    a.connections.invite(B, 'this');
    a.connections.expected(B, 'that');
    expect(server.dials).toBe(0);
    a.connections.expected(B, 'this');
    a.connections.expected(B, 'this');
    expect(server.dials).toBe(1);
  });

  it('counts an attempt without an answer as failed, uses what opens late all the same, and tries anew when asked', async () => {
    const { a, b, invite, states } = twoHosts({ signallingMs: () => 1, relayMs: () => 1 });
    await vi.advanceTimersByTimeAsync(10);
    a.connections.invite(B, 'late');
    await vi.advanceTimersByTimeAsync(LONG_MS);
    expect(states()).toEqual(['failed', 'none']);
    b.connections.expect(A, 'late');
    a.connections.expected(B, 'late');
    await vi.advanceTimersByTimeAsync(10);
    expect(states()).toEqual(['open', 'open']);
    expect(a.connections.invite(B, 'needless')).toBe(false);

    b.connections.forget(A);
    expect(states()).toEqual(['failed', 'none']);
    invite(a, b, 'anew');
    expect(a.connections.invite(B, 'at the same time')).toBe(false);
    expect(states()).toEqual(['retrying', 'none']);
    await vi.advanceTimersByTimeAsync(10);
    expect(states()).toEqual(['open', 'open']);
  });

  it('tells each change once, and nothing of hosts that were forgotten', async () => {
    const { a, b, invite } = twoHosts({ signallingMs: () => 1, relayMs: () => 1 });
    await vi.advanceTimersByTimeAsync(10);
    const told: string[] = [];
    a.connections.changed.on((hostId) => told.push(a.connections.state(hostId)));
    invite(a, b, 'nonce');
    await vi.advanceTimersByTimeAsync(LONG_MS);
    a.connections.forget(B);
    await vi.advanceTimersByTimeAsync(LONG_MS);
    expect(told).toEqual(['trying', 'open', 'none']);
  });
});
