import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../migration/testing/virtual-clock.ts';
import type { Ipv4Address, MacAddress } from '../../shared/ids.ts';
import { Counters } from '../../shared/counters.ts';
import { MAX_HELD_AGE_MS, MAX_HELD_BYTES, MAX_HELD_FRAMES } from '../limits/server-limits.ts';
import { ipFrame, numberOf } from '../testing/relay-harness.ts';
import { VmPort, type FrameSink, type PortDrop } from './vm-port.ts';
import { MAX_FRAME_BURST, MAX_FRAMES_PER_SECOND } from '../limits/server-limits.ts';

const guest = { mac: '02:5a:00:00:00:02', ip: '10.86.0.2' };
const other = { mac: '02:5a:00:00:00:03', ip: '10.86.0.3' };

class Sink implements FrameSink {
  readonly frames: Uint8Array[] = [];
  deliver(frame: Uint8Array): void {
    this.frames.push(frame);
  }
  get numbers(): number[] {
    return this.frames.map(numberOf);
  }
}

let clock: VirtualClock;
let port: VmPort;
let out: Uint8Array[];
beforeEach(() => {
  clock = new VirtualClock();
  port = new VmPort(guest.mac as MacAddress, guest.ip as Ipv4Address, clock, new Counters<PortDrop>());
  out = [];
  port.plugInto({ send: (frame) => out.push(frame), dispose: () => undefined });
});

const toGuest = (number: number, size = 64): void => port.receive(ipFrame(other, guest, number, size));
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);
const fireAll = (): void => {
  while (clock.fireNext());
};

describe('the port of a VM', () => {
  it('passes frames both ways for the socket behind it and refuses those of any other (NR9)', () => {
    const [owner, stranger] = [new Sink(), new Sink()];
    port.attach(owner);
    toGuest(1);
    expect(port.send(owner, ipFrame(guest, other, 2), 'stale-epoch')).toBe(true);
    expect(port.send(stranger, ipFrame(guest, other, 3), 'stale-epoch')).toBe(false);
    expect(port.send(stranger, ipFrame(guest, other, 4), 'not-committed')).toBe(false);
    expect(owner.numbers).toEqual([1]);
    expect(out.map(numberOf)).toEqual([2]);
    expect(port.drops.toJSON()).toEqual({ 'stale-epoch': 1, 'not-committed': 1 });
  });

  it('drops and counts frames while the owner is away (NR17)', () => {
    toGuest(1);
    expect(port.drops.toJSON()).toEqual({ 'owner-away': 1 });
  });

  it('holds frames and releases them in order, those given back first, in paced batches (NR10, I4)', () => {
    const owner = new Sink();
    port.attach(owner);
    port.hold();
    range(10, 200).forEach((number) => toGuest(number));
    port.giveBack(
      range(0, 10).map((number) => ipFrame(other, guest, number)),
      true,
    );
    expect(owner.frames).toEqual([]);
    port.release();
    expect(owner.frames.length).toBeLessThan(64);
    // What comes during the release waits its turn.
    toGuest(200);
    fireAll();
    toGuest(201);
    expect(owner.numbers).toEqual(range(0, 202));
    expect(port.held).toEqual({ frames: 0, bytes: 0 });
  });

  it('keeps outbound frames going during a hold', () => {
    const owner = new Sink();
    port.attach(owner);
    port.hold();
    expect(port.send(owner, ipFrame(guest, other, 1), 'stale-epoch')).toBe(true);
  });

  it('delivers to the source again what a target got that gave no sign of life (NR13)', () => {
    const [source, target] = [new Sink(), new Sink()];
    port.attach(source);
    port.hold();
    range(0, 100).forEach((number) => toGuest(number));
    port.moveTo(target);
    fireAll();
    toGuest(100);
    expect(target.numbers).toEqual(range(0, 101));
    port.takeBack(source);
    fireAll();
    toGuest(101);
    expect(source.numbers).toEqual(range(0, 102));
    expect(port.send(target, ipFrame(guest, other, 1), 'stale-epoch')).toBe(false);
  });

  it('keeps frames for a target whose socket is away, until it is back', () => {
    const [target, again] = [new Sink(), new Sink()];
    port.hold();
    toGuest(0);
    port.moveTo(target);
    fireAll();
    port.attach(null);
    toGuest(1);
    toGuest(2);
    port.attach(again);
    port.confirm();
    fireAll();
    toGuest(3);
    expect(target.numbers).toEqual([0]);
    expect(again.numbers).toEqual([1, 2, 3]);
    expect(port.held).toEqual({ frames: 0, bytes: 0 });
  });

  it('keeps frames in order when a new hold begins during a release', () => {
    const owner = new Sink();
    port.attach(owner);
    port.hold();
    range(0, 100).forEach((number) => toGuest(number));
    port.release();
    const got = owner.frames.length;
    port.hold();
    // The source had got `got` frames and delivered all but the last three.
    port.giveBack(
      range(got - 3, got).map((number) => ipFrame(other, guest, number)),
      true,
    );
    range(100, 120).forEach((number) => toGuest(number));
    owner.frames.length = got - 3;
    port.release();
    fireAll();
    expect(owner.numbers).toEqual(range(0, 120));
  });

  it('bounds what it holds by count, by bytes and by age, and counts what it drops (NR18)', () => {
    port.attach(new Sink());
    port.hold();
    range(0, MAX_HELD_FRAMES + 7).forEach((number) => toGuest(number));
    expect(port.held.frames).toBe(MAX_HELD_FRAMES);
    expect(port.drops.get('held-too-many')).toBe(7);
    clock.setTimeout(() => undefined, MAX_HELD_AGE_MS + 1);
    clock.fireNext();
    port.release();
    fireAll();
    expect(port.drops.get('held-too-old')).toBe(MAX_HELD_FRAMES);

    port.hold();
    const large = Math.floor(MAX_HELD_BYTES / 1518) + 1;
    range(0, large).forEach((number) => toGuest(number, 1518));
    expect(port.drops.get('held-too-large')).toBe(1);
    expect(port.held.bytes).toBeLessThanOrEqual(MAX_HELD_BYTES);
  });

  it('makes room for new frames among those an unconfirmed target already has', () => {
    const target = new Sink();
    port.hold();
    port.moveTo(target);
    const count = MAX_HELD_FRAMES + 500;
    range(0, count).forEach((number) => toGuest(number));
    fireAll();
    expect(target.numbers).toEqual(range(0, count));
    expect(port.drops.total).toBe(0);
    expect(port.held.bytes).toBeLessThanOrEqual(MAX_HELD_BYTES);
  });

  it('refuses frames given back outside a hold or after drained', () => {
    const owner = new Sink();
    port.attach(owner);
    port.giveBack([ipFrame(other, guest, 1)], true);
    port.hold();
    port.giveBack([ipFrame(other, guest, 2)], false);
    port.release();
    expect(owner.frames).toEqual([]);
    expect(port.drops.toJSON()).toEqual({ 'returned-late': 2 });
  });

  it('bounds the rate of a flooding guest and counts the rest (NR19)', () => {
    const owner = new Sink();
    port.attach(owner);
    const frame = ipFrame(guest, other, 1);
    for (let sent = 0; sent < MAX_FRAME_BURST + 100; sent++) port.send(owner, frame, 'stale-epoch');
    expect(out.length).toBe(MAX_FRAME_BURST);
    expect(port.drops.toJSON()).toEqual({ 'over-rate': 100 });
    clock.setTimeout(() => undefined, 100);
    clock.fireNext();
    for (let sent = 0; sent < MAX_FRAMES_PER_SECOND; sent++) port.send(owner, frame, 'stale-epoch');
    expect(out.length).toBe(MAX_FRAME_BURST + MAX_FRAMES_PER_SECOND / 10);
  });

  it('gives away what waits for an owner that stays away', () => {
    port.hold();
    toGuest(1);
    port.release();
    expect(port.held.frames).toBe(1);
    port.expire();
    expect(port.held).toEqual({ frames: 0, bytes: 0 });
    expect(clock.pending).toBe(0);
  });

  for (const [when, begin] of [
    ['during its hold', () => port.hold()],
    ['after a commit that nobody confirmed', () => port.moveTo(null)],
  ] as const) {
    it(`gives away what has waited too long if the owner went for good ${when}, and keeps the rest (NR18)`, () => {
      begin();
      port.attach(null);
      toGuest(1);
      toGuest(2);
      clock.setTimeout(() => undefined, MAX_HELD_AGE_MS + 1);
      clock.fireNext();
      toGuest(3);
      port.expire();
      expect(port.held.frames).toBe(1);
      expect(port.drops.toJSON()).toEqual({ 'held-too-old': 2 });
      const sink = new Sink();
      port.takeBack(sink);
      expect(sink.frames).toHaveLength(1);
      expect(port.held).toEqual({ frames: 0, bytes: 0 });
    });
  }

  it('neither loses nor reorders a frame, however holds, moves and give-backs follow each other (I4)', () => {
    const steps = fc.array(fc.constantFrom('frame', 'frame', 'frame', 'hold', 'release', 'move', 'confirm', 'take-back', 'time'), { maxLength: 80 });
    fc.assert(
      fc.property(steps, (plan) => {
        const vmClock = new VirtualClock();
        const tested = new VmPort(guest.mac as MacAddress, guest.ip as Ipv4Address, vmClock, new Counters<PortDrop>());
        // What the one living copy of the guest has seen; a move hands it on, a give-back goes back to it.
        let seen: number[] = [];
        let before: number[] = [];
        let state: 'open' | 'held' | 'unconfirmed' = 'open';
        const sink = (): FrameSink => ({ deliver: (frame) => void seen.push(numberOf(frame)) });
        let source = sink();
        tested.attach(source);
        let sent = 0;
        for (const step of plan) {
          if (step === 'frame') tested.receive(ipFrame(other, guest, sent++));
          else if (step === 'time') vmClock.fireNext();
          else if (step === 'hold' && state === 'open') {
            tested.hold();
            state = 'held';
          } else if (step === 'release' && state === 'held') {
            tested.release();
            state = 'open';
          } else if (step === 'move' && state === 'held') {
            before = [...seen];
            tested.moveTo(sink());
            state = 'unconfirmed';
          } else if (step === 'confirm' && state === 'unconfirmed') {
            tested.confirm();
            source = sink();
            tested.attach(source);
            state = 'open';
          } else if (step === 'take-back' && state === 'unconfirmed') {
            seen = before;
            tested.takeBack(source);
            state = 'open';
          }
        }
        if (state === 'held') tested.release();
        while (vmClock.fireNext());
        expect(seen).toEqual(range(0, sent));
        expect(tested.drops.total).toBe(0);
      }),
      { numRuns: 1500 },
    );
  });
});
