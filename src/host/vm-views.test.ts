import { describe, expect, it } from 'vitest';
import type { VmInfo } from '../net-relay/protocol/relay-protocol.ts';
import type { HostId, VmId } from '../shared/ids.ts';
import { vmViews, type LocalKnowledge } from './vm-views.ts';

const [A, B] = ['a', 'b'] as [HostId, HostId];
const VM = 'vm-1' as VmId;
const listed = (hostId: HostId): VmInfo => ({
  id: VM,
  name: 'pc-1',
  state: 'running',
  hostId,
  mac: '02:5a:00:00:00:02',
  ip: '10.86.0.2',
  memoryBytes: 1,
  epoch: 1,
  ownerPresent: true,
  forwards: [],
});

function knownBy(self: HostId, change: Partial<LocalKnowledge> = {}): LocalKnowledge {
  return { self, here: new Map(), movedTo: new Map(), ended: new Map(), details: new Map(), traffic: new Map(), ...change };
}

describe('the VMs a tab shows', () => {
  const [before] = vmViews([listed(A)], knownBy(A, { here: new Map([[VM, 'running']]) }));
  const ended = new Map(before === undefined ? [] : [[VM, { ...before, ended: true }]]);

  it('shows a VM that ended here as off, although the relay has not heard of it yet', () => {
    expect(vmViews([listed(A)], knownBy(A, { ended }))).toMatchObject([{ id: VM, ended: true }]);
    expect(vmViews([], knownBy(A, { ended }))).toMatchObject([{ id: VM, ended: true }]);
  });

  it('shows a VM that another host has after all', () => {
    expect(vmViews([listed(B)], knownBy(A, { ended }))).toMatchObject([{ id: VM, ended: false, hostId: B }]);
  });
});
