import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HostId, VmId } from '../shared/ids.ts';
import type { HostMessage } from './host-messages.ts';
import { RemoteConsoles } from './remote-consoles.ts';

const VM = 'vm-1' as VmId;

/** Two tabs whose messages are delivered by hand; `owner` says who runs the VM, `printsAt` where its output comes from. */
function twoTabs() {
  const state = { owner: 'a' as HostId, printsAt: 'a' as HostId | null, arrivingAt: null as HostId | null };
  const queue: { from: HostId; to: HostId; message: HostMessage }[] = [];
  const tab = (self: HostId) => new RemoteConsoles({
    self,
    send: (to, message) => queue.push({ from: self, to, message }),
    ownerOf: () => state.owner,
    printsHere: () => state.printsAt === self,
    isArriving: () => state.arrivingAt === self,
  });
  const a = tab('a' as HostId);
  const b = tab('b' as HostId);
  const deliver = (): void => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { message } = next;
      if (message.type === 'console-open' || message.type === 'console-data') (next.to === 'a' ? a : b).receive(next.from, message);
    }
  };
  return { state, a, b, deliver };
}

describe('RemoteConsoles', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('shows a console in another tab from its beginning on, each character once', () => {
    const { a, b, deliver } = twoTabs();
    a.output(VM, 'one ');
    const seen = b.open(VM);
    deliver();
    a.output(VM, 'two ');
    const late = 'three ';
    a.output(VM, late);
    vi.runAllTimers();
    deliver();
    expect(seen.text()).toBe('one two three ');
  });

  it('loses nothing and repeats nothing when the VM moves into the tab that watches it', () => {
    const { state, a, b, deliver } = twoTabs();
    const seen = b.open(VM);
    a.output(VM, 'tick 1\n');
    deliver();
    a.output(VM, 'tick 2\n');
    // The VM's scroll-back is here before what the source gathered for its watchers.
    state.printsAt = 'b' as HostId;
    b.continueHere(VM, 'tick 1\ntick 2\n');
    b.output(VM, 'tick 3\n');
    vi.runAllTimers();
    deliver();
    state.owner = 'b' as HostId;
    a.follow(VM);
    b.output(VM, 'tick 4\n');
    expect(seen.text()).toBe('tick 1\ntick 2\ntick 3\ntick 4\n');

    const fromA = a.open(VM);
    deliver();
    expect(fromA.text()).toBe('tick 1\ntick 2\ntick 3\ntick 4\n');
  });

  it('shows a console that was asked for before the VM has quite arrived, once it has', () => {
    const { state, a, b, deliver } = twoTabs();
    state.owner = 'b' as HostId;
    state.printsAt = null;
    state.arrivingAt = 'b' as HostId;
    const seen = a.open(VM);
    const own = b.open(VM);
    deliver();
    state.printsAt = 'b' as HostId;
    b.continueHere(VM, 'tick 1\n');
    state.arrivingAt = null;
    b.output(VM, 'tick 2\n');
    vi.runAllTimers();
    deliver();
    expect(seen.text()).toBe('tick 1\ntick 2\n');
    expect(own.text()).toBe('tick 1\ntick 2\n');
  });

  it('shows what an arriving VM printed here before the tab that asks came, and is not taken in by its former host', () => {
    const { state, a, b, deliver } = twoTabs();
    const seen = a.open(VM);
    const own = b.open(VM);
    deliver();
    a.output(VM, 'tick 1\n');
    vi.runAllTimers();
    deliver();
    state.printsAt = 'b' as HostId;
    state.arrivingAt = 'b' as HostId;
    b.continueHere(VM, 'tick 1\n');
    b.output(VM, 'tick 2\n');
    // The room changes while the relay still takes the source for the owner.
    b.follow(VM);
    deliver();
    state.owner = 'b' as HostId;
    a.follow(VM);
    deliver();
    state.arrivingAt = null;
    b.output(VM, 'tick 3\n');
    vi.runAllTimers();
    deliver();
    expect(seen.text()).toBe('tick 1\ntick 2\ntick 3\n');
    expect(own.text()).toBe('tick 1\ntick 2\ntick 3\n');
  });
});
