import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostId, LeaseEpoch, MacAddress, MigrationId } from '../../shared/ids.ts';
import { GATEWAY_IP, GATEWAY_MAC } from '../lan/lan.ts';
import type { CreatedVm } from '../protocol/relay-protocol.ts';
import { ipFrame, numberOf, recordingStation, TestNic } from '../testing/relay-harness.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';
import type { OwnerPort, PortState, TargetPort } from './port-client.ts';

const M = 'm1' as MigrationId;
const B = 'b' as HostId;
const gateway = { mac: GATEWAY_MAC, ip: GATEWAY_IP };
let lan: VirtualLan;
let vm: CreatedVm;
beforeEach(async () => {
  lan = new VirtualLan();
  vm = await lan.createVm(lan.host('a'));
  lan.host('b');
  await lan.pass(20);
});
afterEach(() => {
  expect(lan.troubles).toEqual([]);
  lan.dispose();
});

const states = (port: OwnerPort | TargetPort): PortState['kind'][] => {
  const seen: PortState['kind'][] = [];
  port.onState((state) => seen.push(state.kind));
  return seen;
};

describe('the connection of a port', () => {
  it("comes back by itself: at once after a cut, within seconds of the relay's return (NR2)", async () => {
    const port = lan.own('a', vm, new TestNic());
    const seen = states(port);
    await lan.pass(20);
    lan.network.cut('a');
    await lan.pass(200);
    expect(seen).toEqual(['connected', 'lost', 'connected']);
    lan.crashRelay();
    await lan.pass(60_000);
    expect(port.state.kind).toBe('lost');
    lan.startRelay();
    await lan.pass(3000);
    expect(port.state.kind).toBe('connected');
  });

  it('keeps its place when the hello of a connection that it has given up arrives late (NR9)', async () => {
    const port = lan.own('a', vm, new TestNic());
    const deliverOldHello = await lan.giveUpHello('a');
    expect(port.state.kind).toBe('connected');
    await deliverOldHello();
    expect(port.state.kind).toBe('connected');
    expect(lan.relay.stats().sockets).toBe(3);
  });

  it('notices a relay that fell silent without a close (NR2)', async () => {
    const port = lan.own('a', vm, new TestNic());
    await lan.pass(20);
    const seen = states(port);
    // The relay hangs: it answers nothing and closes nothing.
    const relay = lan.network.relay;
    lan.relay.dispose();
    for (const socket of lan.network.sockets) socket.toClient.length = 0;
    lan.network.relay = null;
    await lan.pass(4000);
    expect(seen).toEqual([]);
    await lan.pass(3000);
    expect(seen[0]).toBe('lost');
    expect(relay).not.toBeNull();
    lan.startRelay();
  });

  it('stops for good when the relay refuses it, and says why', async () => {
    const port = lan.own('b', vm, new TestNic());
    await lan.pass(20);
    expect(port.state).toMatchObject({ kind: 'refused', cause: 'not-owner', reason: expect.stringMatching(/belongs to another host/) as string });
    await lan.pass(60_000);
    expect([...lan.network.sockets].filter((socket) => socket.name === 'b')).toHaveLength(1);
    await expect(port.sourceLease(M, B).hold()).rejects.toMatchObject({ cause: 'hold-failed' });
    expect(await port.sourceLease(M, B).abort()).toMatchObject({ owner: 'target' });
  });

  it('drops and counts what the guest sends while it is away, and what a target sends too early', async () => {
    const [nicA, nicB] = [new TestNic(), new TestNic()];
    const source = lan.own('a', vm, nicA);
    const target = lan.target('b', vm, nicB, M, 'a');
    nicA.send(ipFrame(vm, gateway, 1));
    await lan.pass(20);
    nicB.send(ipFrame(vm, gateway, 2));
    expect(source.dropped()).toEqual({ 'not-connected': 1 });
    expect(target.dropped()).toEqual({ 'not-owner': 1 });
    expect(() => target.asOwner()).toThrow('not committed');
  });

  it('keeps frames in order for a guest that has no room, and hands them over as it has', async () => {
    const nic = new TestNic(false);
    const port = lan.own('a', vm, nic);
    await lan.pass(20);
    const socket = lan.lans[0]!.plug(recordingStation(), { mac: GATEWAY_MAC });
    for (let number = 0; number < 500; number++) socket.send(ipFrame(gateway, vm, number));
    await lan.pass(0);
    expect(port.queuedFrames).toBe(500);
    nic.running = true;
    expect(nic.received.map(numberOf)).toEqual(Array.from({ length: 500 }, (_, index) => index));
  });
});

describe('a switchover through the clients', () => {
  it('goes back and forth over the same ports, epoch by epoch (A8)', async () => {
    let owner: OwnerPort = lan.own('a', vm, new TestNic());
    await lan.pass(20);
    for (let hop = 1; hop <= 6; hop++) {
      const [from, to] = hop % 2 === 1 ? ['a', 'b'] : ['b', 'a'];
      const migrationId = `hop-${hop}` as MigrationId;
      const target = lan.target(to, vm, new TestNic(), migrationId, from, hop);
      await lan.pass(20);
      const lease = owner.sourceLease(migrationId, to as HostId);
      await lan.settled(lease.hold());
      await lan.settled(lease.drained());
      expect(await lan.settled(target.targetLease().commit())).toBe(hop + 1);
      await lan.settled(Promise.resolve(target.targetLease().alive()));
      owner.dispose();
      target.targetLease().dispose();
      owner = target.asOwner();
      await lan.pass(20);
    }
    expect(owner.state.kind).toBe('connected');
    expect(lan.relay.stats()).toMatchObject({ sockets: 3, heldFrames: 0, heldBytes: 0 });
  });

  it('says what a stopped VM waits for while the relay is away, and goes on as it returns (I5)', async () => {
    const source = lan.own('a', vm, new TestNic());
    const target = lan.target('b', vm, new TestNic(), M, 'a');
    await lan.pass(20);
    const lease = source.sourceLease(M, B);
    const waits: (string | null)[] = [];
    lease.onWaiting((what) => waits.push(what));
    await lan.settled(lease.hold());
    await lan.settled(lease.drained());
    lan.crashRelay();
    await lan.pass(2000);
    expect(waits).toEqual([expect.stringContaining('Waiting for the relay to know who owns this VM.')]);
    lan.startRelay();
    await lan.pass(5000);
    expect(waits.at(-1)).toBeNull();
    // The source drained again by itself, so that the migration can still be completed (NR16).
    expect(await lan.settled(target.targetLease().commit())).toBe(2);
  });

  for (const end of ['commit', 'abort'] as const) {
    it(`leaves out, repeats and disorders no frame that comes while a switchover is asked for again after a restart of the relay: ${end} (I4)`, async () => {
      const [nicA, nicB] = [new TestNic(), new TestNic()];
      const source = lan.own('a', vm, nicA);
      const target = lan.target('b', vm, nicB, M, 'a');
      await lan.pass(20);
      const lease = source.sourceLease(M, B);
      // The CPU is stopped and has not taken one frame.
      nicA.running = false;
      lan.lans
        .at(-1)!
        .plug(recordingStation(), { mac: GATEWAY_MAC })
        .send(ipFrame(gateway, vm, 0));
      await lan.settled(lease.hold());
      lan.crashRelay();
      const drained = lease.drained();
      const relay = lan.startRelay();
      let isAttached = false;
      lan.network.relay = {
        connect: (kind, socket) =>
          relay.connect(kind, {
            ...socket,
            sendText: (text) => {
              socket.sendText(text);
              isAttached ||= /"attached".*"owner"/.test(text);
            },
          }),
      };
      await lan.pass(0);
      const sender = lan.lans.at(-1)!.plug(recordingStation(), { mac: GATEWAY_MAC });
      // Once the relay has attached the port, a frame for the guest comes with every message that arrives anywhere.
      let sent = 0;
      const seen = { drained: false };
      void drained.then(() => (seen.drained = true));
      const deliverOne = (): boolean => {
        for (const socket of [...lan.network.sockets]) {
          for (const direction of ['toServer', 'toClient'] as const) {
            const next = socket[direction].shift();
            if (next === undefined) continue;
            next();
            if (isAttached && sent < 100) sender.send(ipFrame(gateway, vm, ++sent));
            return true;
          }
        }
        return false;
      };
      while (!seen.drained && lan.clock.now() < 10_000) {
        if (!deliverOne()) lan.clock.fireNext();
        await Promise.resolve();
      }
      await lan.settled(drained);
      await lan.pass(3000);
      const received = end === 'commit' ? nicB : nicA;
      if (end === 'commit') {
        expect(await lan.settled(target.targetLease().commit())).toBe(2);
      } else {
        expect(await lan.settled(lease.abort())).toMatchObject({ owner: 'source' });
        nicA.running = true;
      }
      sender.send(ipFrame(gateway, vm, ++sent));
      await lan.pass(20);
      expect(sent).toBeGreaterThan(5);
      // Announcements to the guest's neighbours have no number.
      expect(received.received.map(numberOf).filter((number) => number <= sent)).toEqual(Array.from({ length: sent + 1 }, (_, index) => index));
    });
  }

  for (const { ms, takes } of [
    { ms: 1500, takes: true },
    { ms: 3000, takes: false },
  ]) {
    it(`asks again who owns the VM when the answer to a commit comes ${ms / 1000} s late, and ${takes ? 'takes it' : 'lets go of one that was given back'} (MG29)`, async () => {
      const source = lan.own('a', vm, new TestNic());
      const target = lan.target('b', vm, new TestNic(), M, 'a');
      await lan.pass(20);
      const lease = source.sourceLease(M, B);
      await lan.settled(lease.hold());
      await lan.settled(lease.drained());
      const sockets = [...lan.network.sockets].filter((socket) => socket.name === 'b');
      let answer: unknown = null;
      void target
        .targetLease()
        .commit()
        .then(
          (epoch) => (answer = epoch),
          (error: unknown) => (answer = error),
        );
      for (const socket of sockets) socket.stalled.add('toClient');
      await lan.pass(ms);
      expect(answer).toBeNull();
      for (const socket of sockets) socket.stalled.delete('toClient');
      await lan.pass(20);
      if (takes) expect(answer).toBe(2);
      else expect(answer).toMatchObject({ cause: 'commit-refused' });
    });
  }

  it('leaves nothing at the port for a move that ended, once what it held is released (MG34)', async () => {
    const port = lan.own('a', vm, new TestNic());
    await lan.pass(20);
    const listeners = (): number => (port as unknown as { connection: { listeners: Set<unknown> } }).connection.listeners.size;
    const before = listeners();
    for (let move = 0; move < 3; move++) port.sourceLease(`early-${move}` as MigrationId, B).dispose();
    expect(listeners()).toBe(before);
    const lease = port.sourceLease(M, B);
    await lan.settled(lease.hold());
    lan.network.cut('a');
    let released = false;
    void lease.release().then(() => (released = true));
    lease.dispose();
    // Asked again over the next socket, though nobody waits for the move any more.
    expect(listeners()).toBe(before + 1);
    await lan.pass(3000);
    expect(released).toBe(true);
    expect(listeners()).toBe(before);
    const next = port.sourceLease('m2' as MigrationId, B);
    await lan.settled(next.hold());
    await lan.settled(next.release());
    next.dispose();
    expect(listeners()).toBe(before);
  });

  it('asks again over the next socket when a probe is lost with its own, and answers once the way is open (MG36, NR27)', async () => {
    const target = lan.target('b', vm, new TestNic(), M, 'a').targetLease();
    await lan.pass(20);
    for (const socket of lan.network.sockets) socket.stalled.add('toClient');
    let answer: number | null = null;
    void target.probe().then((roundTripMs) => (answer = roundTripMs));
    await lan.pass(500);
    expect(answer).toBeNull();
    lan.network.cut('b');
    await lan.pass(3000);
    expect(answer).not.toBeNull();
    expect(answer).toBeLessThan(500);
  });

  it('refuses a probe once no commit can succeed any more (MG36)', async () => {
    const port = lan.target('b', vm, new TestNic(), M, 'a');
    const target = port.targetLease();
    port.dispose();
    await expect(target.probe()).rejects.toMatchObject({ cause: 'relay-lost' });
  });

  it('learns of a give-back by being attached again, when the outcome that told it was lost with a socket (NR13, I2)', async () => {
    const port = lan.own('a', vm, new TestNic());
    const target = lan.target('b', vm, new TestNic(), M, 'a');
    await lan.pass(20);
    const source = port.sourceLease(M, B);
    const outcomes: unknown[] = [];
    source.onOutcome((outcome) => outcomes.push(outcome));
    await lan.settled(source.hold());
    await lan.settled(source.drained());
    await lan.settled(target.targetLease().commit());
    // Every connection breaks as soon as it is attached; the last one to break is the one that finds the VM given back.
    let givenBack = false;
    port.onState(({ kind }) => {
      if (kind !== 'connected' || givenBack) return;
      givenBack = port.epoch === 3;
      lan.network.cut('a');
    });
    lan.network.cut('a');
    await lan.pass(6000);
    expect(givenBack).toBe(true);
    expect(outcomes).toEqual([{ owner: 'source', epoch: 3 }]);
  });

  it('gives up a commit that the relay cannot answer for thirty seconds, and then never runs (I2)', async () => {
    const source = lan.own('a', vm, new TestNic());
    const target = lan.target('b', vm, new TestNic(), M, 'a');
    await lan.pass(20);
    const lease = source.sourceLease(M, B);
    await lan.settled(lease.hold());
    await lan.settled(lease.drained());
    const commit = target
      .targetLease()
      .commit()
      .catch((error: unknown) => error);
    // It arrives, the answer does not.
    for (const socket of lan.network.sockets) while (socket.toServer.length > 0) socket.toServer.shift()?.();
    const outcomes: unknown[] = [];
    lease.onOutcome((outcome) => outcomes.push(outcome));
    lan.crashRelay();
    await lan.pass(31_000);
    expect(await commit).toMatchObject({ cause: 'relay-lost' });
    lan.startRelay();
    await lan.pass(15_000);
    expect(outcomes).toEqual([{ owner: 'source', epoch: 3 as LeaseEpoch }]);
    expect(source.epoch).toBe(3);
  });

  it('announces the VM to real networks five times, and the gateway to its guest once (NR23)', async () => {
    const gatewayLan = lan.lans[0]!;
    const uplink = recordingStation();
    gatewayLan.plug(uplink, { uplink: true });
    gatewayLan.plug(recordingStation(), { mac: GATEWAY_MAC });
    const nicB = new TestNic();
    const source = lan.own('a', vm, new TestNic());
    const target = lan.target('b', vm, nicB, M, 'a');
    await lan.pass(20);
    const lease = source.sourceLease(M, B);
    await lan.settled(lease.hold());
    await lan.settled(lease.drained());
    await lan.settled(target.targetLease().commit());
    await lan.settled(Promise.resolve(target.targetLease().alive()));
    await lan.pass(1000);
    const kinds = uplink.received.map((frame) => `${frame[12]!.toString(16)}${frame[13]!.toString(16)}`);
    expect(kinds).toEqual(Array.from({ length: 5 }, () => ['86', '8035']).flat());
    expect(
      uplink.received.every((frame) => [...frame.subarray(6, 12)].map((byte) => byte.toString(16).padStart(2, '0')).join(':') === (vm.mac as MacAddress)),
    ).toBe(true);
    expect(nicB.received).toHaveLength(1);
    expect([...nicB.received[0]!.subarray(28, 32)].join('.')).toBe(GATEWAY_IP);
  });
});
