import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostId, VmId } from '../shared/ids.ts';
import type { ConsoleSize } from '../vm-host/vm-worker-messages.ts';
import { ConsoleSizes, FIRST_SIZE } from './console-sizes.ts';
import type { HostMessage } from './host-messages.ts';

const VM = 'vm-1' as VmId;
const IDS = ['a', 'b', 'c'] as HostId[];
const [A, B, C] = IDS as [HostId, HostId, HostId];
const WIDE = { cols: 120, rows: 40 };
const PHONE = { cols: 31, rows: 42 };

/** A room of three tabs; the VM begins in A. Messages wait until they are delivered, in order between any two tabs. */
function room() {
  const state = { owner: A, present: new Set(IDS), expected: new Set<HostId>(), listed: new Set([VM]), guest: FIRST_SIZE };
  const queues = new Map<string, HostMessage[]>();
  const tabs = new Map<HostId, ConsoleSizes>();
  for (const self of IDS) {
    const send = (to: HostId, message: HostMessage): void => {
      const key = `${self} ${to}`;
      queues.set(key, [...(queues.get(key) ?? []), message]);
    };
    tabs.set(
      self,
      new ConsoleSizes({
        self,
        send,
        sendToRoom: (message) => IDS.filter((id) => id !== self).forEach((to) => send(to, message)),
        isExpected: (id) => state.present.has(id) || state.expected.has(id),
        isKnown: (vmId) => state.listed.has(vmId),
        local: () => (state.owner === self ? { resizeConsole: ({ cols, rows }: ConsoleSize) => (state.guest = { cols, rows }) } : null),
        changed: () => undefined,
      }),
    );
  }
  const tab = (id: HostId): ConsoleSizes => tabs.get(id)!;
  const deliver = (index?: number): void => {
    const waiting = [...queues].filter(([, messages]) => messages.length > 0);
    const [key, messages] = waiting[(index ?? 0) % Math.max(1, waiting.length)] ?? ['', []];
    const message = messages.shift();
    if (message?.type === 'console-size') tab(key.split(' ')[1] as HostId).receive(message);
    if (index === undefined && message !== undefined) deliver();
  };
  const move = (to: HostId): void => {
    const from = state.owner;
    state.owner = to;
    if (from !== to) tab(to).arrived(VM, from);
  };
  const leave = (id: HostId): void => {
    state.present.delete(id);
    for (const other of state.present) tab(other).hostLeft();
  };
  return { state, tab, deliver, move, leave };
}

describe('ConsoleSizes', () => {
  it('gives a new VM the size of the tab it runs in, and a tab that only watches gives none', () => {
    const { state, tab, deliver } = room();
    tab(B).fits(VM, PHONE);
    expect(state.guest).toEqual(FIRST_SIZE);
    tab(A).fits(VM, WIDE);
    deliver();
    expect(state.guest).toEqual(WIDE);
    expect(tab(B).of(VM)).toMatchObject({ ...WIDE, holder: A });
  });

  it('goes to the tab that used the console last, and follows its window', () => {
    const { state, tab, deliver } = room();
    tab(A).fits(VM, WIDE);
    deliver();
    tab(B).fits(VM, PHONE);
    tab(B).used(VM);
    deliver();
    expect(state.guest).toEqual(PHONE);
    tab(A).fits(VM, { cols: 100, rows: 30 });
    tab(B).fits(VM, { cols: 64, rows: 20 });
    deliver();
    expect(state.guest).toEqual({ cols: 64, rows: 20 });
    tab(A).used(VM);
    deliver();
    expect(state.guest).toEqual({ cols: 100, rows: 30 });
  });

  it('stays with the tab that is used while the window of the holder changes', () => {
    const { state, tab, deliver } = room();
    tab(A).fits(VM, WIDE);
    deliver();
    tab(B).fits(VM, PHONE);
    tab(B).used(VM);
    deliver();
    tab(A).used(VM);
    tab(B).fits(VM, { cols: 31, rows: 20 });
    tab(B).fits(VM, PHONE);
    deliver();
    expect(state.guest).toEqual(WIDE);
    for (const id of IDS) expect(tab(id).of(VM)).toMatchObject({ ...WIDE, holder: A });
  });

  it('moves with the VM from the tab that held it, and stays with a third one that uses it', () => {
    const { state, tab, deliver, move } = room();
    tab(A).fits(VM, WIDE);
    tab(B).fits(VM, PHONE);
    deliver();
    move(B);
    deliver();
    expect(state.guest).toEqual(PHONE);
    tab(C).fits(VM, { cols: 90, rows: 25 });
    tab(C).used(VM);
    deliver();
    move(A);
    deliver();
    expect(state.guest).toEqual({ cols: 90, rows: 25 });
    expect(tab(A).of(VM).holder).toBe(C);
  });

  it("reaches the guest in a tab that does not show the console, and goes to the VM's tab when its holder leaves", () => {
    const { state, tab, deliver, move, leave } = room();
    tab(A).fits(VM, WIDE);
    deliver();
    move(B);
    expect(state.guest).toEqual(WIDE);
    tab(B).fits(VM, PHONE);
    deliver();
    leave(A);
    expect(state.guest).toEqual(PHONE);
  });

  it('stays with a holder that is expected back after the server was away', () => {
    const { state, tab, deliver, leave } = room();
    tab(A).fits(VM, WIDE);
    tab(B).fits(VM, PHONE);
    tab(B).used(VM);
    deliver();
    state.expected.add(B);
    leave(B);
    expect(state.guest).toEqual(PHONE);
    state.expected.clear();
    tab(A).hostLeft();
    expect(state.guest).toEqual(WIDE);
  });

  it('forgets what was claimed for a VM that the room does not have', () => {
    const { state, tab } = room();
    const other = 'vm-2' as VmId;
    tab(B).receive({ type: 'console-size', vmId: other, ...PHONE, holder: C, turn: 1, fitting: 0 });
    tab(B).receive({ type: 'console-size', vmId: VM, ...WIDE, holder: C, turn: 1, fitting: 0 });
    tab(B).listed();
    expect(tab(B).of(other)).toEqual({ ...FIRST_SIZE, holder: null });
    expect(tab(B).of(VM)).toMatchObject({ ...WIDE, holder: C });
    state.listed.clear();
    tab(B).listed();
    expect(tab(B).of(VM).holder).toBeNull();
  });

  it('is told to a tab that joins, and again after the relay was away', () => {
    const { tab, deliver } = room();
    tab(A).fits(VM, WIDE);
    // Lost.
    for (const id of [B, C]) tab(id).receive({ type: 'console-size', vmId: VM, ...PHONE, holder: C, turn: 0, fitting: 0 });
    tab(A).tell(B);
    tab(A).returned();
    deliver();
    for (const id of IDS) expect(tab(id).of(VM)).toMatchObject({ ...WIDE, holder: A });
  });

  it('is the same for all tabs and the guest once everything was heard, in whatever order', () => {
    const who = fc.constantFrom(...IDS);
    const size = fc.constantFrom(WIDE, PHONE, { cols: 80, rows: 24 });
    const step = fc.oneof(
      fc.tuple(fc.constant('fits' as const), who, size),
      fc.tuple(fc.constant('used' as const), who),
      fc.tuple(fc.constant('hides' as const), who),
      fc.tuple(fc.constant('moves' as const), who),
      fc.tuple(fc.constant('deliver' as const), fc.nat(5)),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { state, tab, deliver, move } = room();
        for (const now of steps) {
          if (now[0] === 'fits') tab(now[1]).fits(VM, now[2]);
          else if (now[0] === 'used') tab(now[1]).used(VM);
          else if (now[0] === 'hides') tab(now[1]).fits(VM, null);
          else if (now[0] === 'moves') move(now[1]);
          else deliver(now[1]);
        }
        deliver();
        const { cols, rows, holder } = tab(A).of(VM);
        for (const id of IDS) expect(tab(id).of(VM)).toMatchObject({ cols, rows, holder });
        expect(state.guest).toEqual({ cols, rows });
      }),
      { numRuns: 500 },
    );
  });
});
