import { describe, expect, it } from 'vitest';
import type { HostId, VmId } from '../shared/ids.ts';
import { ConsoleInput } from './console-input.ts';
import type { HostMessage } from './host-messages.ts';
import { vmOwner } from './vm-owner.ts';

const VM = 'vm-1' as VmId;
const [A, B, C] = ['a', 'b', 'c'] as [HostId, HostId, HostId];

interface TabModel {
  readonly input: ConsoleInput;
  /** What its worker was given. */
  readonly typed: string[];
  kind: 'running' | 'arriving' | null;
  owner: HostId | null;
  movedTo: HostId | null;
}

/** Three tabs, each with its own view of where the VM is; messages are delivered by hand. */
function threeTabs() {
  const queue: { to: HostId; message: HostMessage }[] = [];
  const tabs = new Map<HostId, TabModel>();
  for (const self of [A, B, C]) {
    const tab: TabModel = {
      typed: [], kind: null, owner: A, movedTo: null,
      input: new ConsoleInput({
        self,
        send: (to, message) => queue.push({ to, message }),
        ownerNow: () => vmOwner({ self, listed: tab.owner, here: tab.kind === null ? null : tab.kind === 'arriving' ? 'arriving' : 'settled', movedTo: tab.movedTo }),
        local: () => (tab.kind === null ? null : { state: { kind: tab.kind }, write: (data) => tab.typed.push(data) }),
      }),
    };
    tabs.set(self, tab);
  }
  const tab = (id: HostId): TabModel => tabs.get(id) as TabModel;
  tab(A).kind = 'running';
  const deliver = (): number => {
    let count = 0;
    for (let next = queue.shift(); next !== undefined; next = queue.shift(), count++) {
      if (next.message.type === 'console-input') tab(next.to).input.receive(next.message);
    }
    return count;
  };
  return { a: tab(A), b: tab(B), c: tab(C), deliver };
}

describe('ConsoleInput', () => {
  it('gives what is typed to the VM here, or to the host that has it', () => {
    const { a, c, deliver } = threeTabs();
    a.input.write(VM, 'here');
    c.input.write(VM, 'there');
    deliver();
    expect(a.typed).toEqual(['here', 'there']);
  });

  it('passes on what comes to a host the VM has left, even before the relay has told that', () => {
    const { a, b, c, deliver } = threeTabs();
    Object.assign(a, { kind: null, movedTo: B });
    b.kind = 'running';
    c.input.write(VM, 'x');
    a.input.write(VM, 'y');
    deliver();
    expect(b.typed).toEqual(['y', 'x']);
  });

  it('keeps what is typed into a VM that the relay has given to this tab and that is about to run', () => {
    const { b, c, deliver } = threeTabs();
    Object.assign(b, { kind: 'arriving', owner: B });
    c.owner = B;
    b.input.write(VM, 'own');
    c.input.write(VM, 'other');
    deliver();
    expect(b.typed).toEqual(['own', 'other']);
  });

  it('types into the source while the VM is on its way here', () => {
    const { a, b, deliver } = threeTabs();
    b.kind = 'arriving';
    b.input.write(VM, 'x');
    deliver();
    expect([a.typed, b.typed]).toEqual([['x'], []]);
  });

  it('does not send a key around forever between hosts that each take the other for the owner', () => {
    const { a, b, c, deliver } = threeTabs();
    Object.assign(a, { kind: null, movedTo: B });
    Object.assign(b, { kind: null, movedTo: A, owner: B });
    c.input.write(VM, 'x');
    expect(deliver()).toBeLessThan(20);
  });

  it('sends a long text in pieces, in order', () => {
    const { a, c, deliver } = threeTabs();
    const text = 'abcdefghij'.repeat(20_000);
    c.input.write(VM, text);
    deliver();
    expect(a.typed.length).toBeGreaterThan(1);
    expect(a.typed.join('')).toBe(text);
  });

  it('names a VM that the room does not have', () => {
    const { c } = threeTabs();
    c.owner = null;
    expect(() => c.input.write(VM, 'x')).toThrow('There is no such VM');
  });
});
