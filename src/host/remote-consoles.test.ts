import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HostId, VmId } from '../shared/ids.ts';
import type { HostMessage } from './host-messages.ts';
import { RemoteConsoles } from './remote-consoles.ts';
import { systemClock } from '../shared/system-clock.ts';

const VM = 'vm-1' as VmId;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Two tabs whose messages are delivered by hand; `owner` says who runs the VM, `printsAt` where its output comes from. */
function twoTabs() {
  const state = { owner: 'a' as HostId, printsAt: 'a' as HostId | null, arrivingAt: null as HostId | null };
  const queue: { from: HostId; to: HostId; message: HostMessage }[] = [];
  const tab = (self: HostId) =>
    new RemoteConsoles({
      clock: systemClock,
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
  return { state, a, b, deliver, queue };
}

describe('RemoteConsoles', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('shows a console in another tab from its beginning on, each character once', () => {
    const { a, b, deliver } = twoTabs();
    a.output(VM, bytes('one '));
    const seen = b.open(VM);
    deliver();
    a.output(VM, bytes('two '));
    const late = 'three ';
    a.output(VM, bytes(late));
    vi.runAllTimers();
    deliver();
    expect(seen.text()).toBe('one two three ');
  });

  it('asks once while it is opened again and again, and again a second later if nothing was shown', () => {
    const { b, queue } = twoTabs();
    for (let frame = 0; frame < 50; frame++) {
      b.open(VM);
      vi.advanceTimersByTime(16);
    }
    expect(queue.map(({ message }) => message.type)).toEqual(['console-open']);
    vi.advanceTimersByTime(1000);
    b.open(VM);
    expect(queue).toHaveLength(2);
    // The room's list has changed.
    b.followAll();
    expect(queue).toHaveLength(3);
  });

  it('loses nothing and repeats nothing when the VM moves into the tab that watches it', () => {
    const { state, a, b, deliver } = twoTabs();
    const seen = b.open(VM);
    a.output(VM, bytes('tick 1\n'));
    deliver();
    a.output(VM, bytes('tick 2\n'));
    // The VM's scroll-back arrives before the output that the source gathered for its watchers.
    state.printsAt = 'b' as HostId;
    b.continueHere(VM, bytes('tick 1\ntick 2\n'), 14);
    b.output(VM, bytes('tick 3\n'));
    vi.runAllTimers();
    deliver();
    state.owner = 'b' as HostId;
    a.follow(VM);
    b.output(VM, bytes('tick 4\n'));
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
    b.continueHere(VM, bytes('tick 1\n'), 7);
    state.arrivingAt = null;
    b.output(VM, bytes('tick 2\n'));
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
    a.output(VM, bytes('tick 1\n'));
    vi.runAllTimers();
    deliver();
    state.printsAt = 'b' as HostId;
    state.arrivingAt = 'b' as HostId;
    b.continueHere(VM, bytes('tick 1\n'), 7);
    b.output(VM, bytes('tick 2\n'));
    // The room changes while the relay still names the source as the owner.
    b.follow(VM);
    deliver();
    state.owner = 'b' as HostId;
    a.follow(VM);
    deliver();
    state.arrivingAt = null;
    b.output(VM, bytes('tick 3\n'));
    vi.runAllTimers();
    deliver();
    expect(seen.text()).toBe('tick 1\ntick 2\ntick 3\n');
    expect(own.text()).toBe('tick 1\ntick 2\ntick 3\n');
  });
});

describe('a character of several bytes', () => {
  const LINE = 'ż漢€✓😀ñ\n';
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('is whole for a tab that begins to watch in its middle, and across messages', () => {
    const { a, b, deliver } = twoTabs();
    const whole = bytes(LINE);
    for (let cut = 0; cut < whole.length; cut++) {
      a.output(VM, whole.subarray(0, cut));
      const seen = b.open(VM);
      let heard = seen.text();
      const stop = seen.onText((text) => (heard = text.startsWith('\u001bc') ? text.slice(2) : heard + text));
      deliver();
      vi.runAllTimers();
      deliver();
      a.output(VM, whole.subarray(cut));
      vi.runAllTimers();
      deliver();
      stop();
      expect(seen.text()).toBe(LINE.repeat(cut + 1));
      expect(heard).toBe(LINE.repeat(cut + 1));
    }
  });

  it('is whole for a tab that is shown the end of a long scroll-back, and for one that was sent more than a message holds', () => {
    for (let shift = 0; shift < 16; shift++) {
      const { a, b, deliver } = twoTabs();
      const long = `${'x'.repeat(shift)}\n${LINE.repeat(6000)}`;
      a.output(VM, bytes(long));
      const seen = b.open(VM);
      deliver();
      a.output(VM, bytes(long));
      vi.runAllTimers();
      deliver();
      expect(seen.text().startsWith(LINE)).toBe(true);
      expect(seen.text()).not.toContain('\ufffd');
      expect(`${long}${long}`.endsWith(seen.text())).toBe(true);
      expect(seen.text().length).toBeGreaterThan(long.length);
    }
  });

  it('is asked for again when a piece of output is missing', () => {
    const { a, b, deliver } = twoTabs();
    const seen = b.open(VM);
    deliver();
    a.output(VM, bytes('one '));
    a.receive('b' as HostId, { type: 'console-close', vmId: VM });
    vi.runAllTimers();
    a.receive('b' as HostId, { type: 'console-open', vmId: VM });
    a.output(VM, bytes('two '));
    vi.runAllTimers();
    deliver();
    expect(seen.text()).toBe('one two ');
  });
});

/** A relay that two tabs lose and find again. The VM runs in `a`; `b` watches its console. */
class LosableRelay {
  readonly a: RemoteConsoles;
  readonly b: RemoteConsoles;
  private readonly tabs: Readonly<Record<string, RemoteConsoles>>;
  private readonly connected = new Set(['a', 'b']);
  /** Hosts that the relay lists, and those that each tab was last told about. */
  private listed = new Set(['a', 'b']);
  private readonly told: Record<string, ReadonlySet<string>> = { a: new Set(['a', 'b']), b: new Set(['a', 'b']) };
  private queue: { from: string; to: string; message: HostMessage }[] = [];

  constructor() {
    const tab = (self: string): RemoteConsoles =>
      new RemoteConsoles({
        clock: systemClock,
        self: self as HostId,
        send: (to, message) => {
          if (this.connected.has(self) && this.connected.has(to)) this.queue.push({ from: self, to, message });
        },
        ownerOf: () => 'a' as HostId,
        printsHere: () => self === 'a',
        isArriving: () => false,
      });
    [this.a, this.b] = [tab('a'), tab('b')];
    this.tabs = { a: this.a, b: this.b };
  }

  cut(id: string): void {
    this.connected.delete(id);
    this.queue = this.queue.filter(({ to }) => to !== id);
  }

  /** A tab that stays away long enough is no longer listed. */
  longAway(): void {
    this.listed = new Set(this.connected);
    this.tell();
  }

  restart(): void {
    this.connected.clear();
    this.listed.clear();
    this.queue = [];
  }

  back(id: string): void {
    if (this.connected.has(id)) return;
    this.connected.add(id);
    this.listed.add(id);
    this.tabs[id]!.returned();
    this.tell();
  }

  /** Everything on its way arrives. */
  async deliver(): Promise<void> {
    await vi.advanceTimersByTimeAsync(100);
    for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
      const { from, to, message } = next;
      if (message.type === 'console-open' || message.type === 'console-data') this.tabs[to]!.receive(from as HostId, message);
    }
  }

  private tell(): void {
    for (const id of this.connected) {
      for (const other of this.told[id]!) if (!this.listed.has(other)) this.tabs[id]!.forgetHost(other as HostId);
      this.told[id] = new Set(this.listed);
      this.tabs[id]!.followAll();
    }
  }
}

describe('a console in another tab', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('is whole again once both tabs have the relay, whoever lost it, for however long', async () => {
    const step = fc.constantFrom('cut a', 'cut b', 'back a', 'back b', 'long away', 'restart', 'print', 'print', 'deliver', 'deliver');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), async (steps, aFirst) => {
        const relay = new LosableRelay();
        let printed = '';
        const print = (): void => {
          const line = `line ${printed.length}\n`;
          printed += line;
          relay.a.output(VM, bytes(line));
        };
        const seen = relay.b.open(VM);
        let shown = '';
        seen.onText((data) => (shown = data.startsWith('\u001bc') ? data.slice(2) : shown + data));
        for (const now of steps) {
          const [what, who = ''] = now.split(' ') as [string, string?];
          if (what === 'cut') relay.cut(who);
          else if (what === 'back') relay.back(who);
          else if (what === 'long') relay.longAway();
          else if (what === 'restart') relay.restart();
          else if (what === 'print') print();
          else await relay.deliver();
        }
        for (const id of aFirst ? ['a', 'b'] : ['b', 'a']) {
          relay.back(id);
          await relay.deliver();
        }
        print();
        await relay.deliver();
        await relay.deliver();
        expect(seen.text()).toBe(printed);
        expect(shown).toBe(printed);
      }),
      { numRuns: 500 },
    );
  });
});
