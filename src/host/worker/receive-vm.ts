/** The target's side of a migration in the VM's worker: the machine waits at the base snapshot, the engine fills it. */
import * as v from 'valibot';
import type { Machine } from '../../emulator-bridge/machine.ts';
import { systemClock } from '../../emulator-bridge/system-clock.ts';
import { openLink } from '../../link/lane-end.ts';
import type { TargetVm } from '../../migration/ports.ts';
import { startReceiver } from '../../migration/receiver.ts';
import { attachTarget, type TargetPort } from '../../net-relay/client/port-client.ts';
import type { LeaseEpoch, MacAddress, VmId } from '../../shared/ids.ts';
import type { ToVmWorker, VmIdentity } from '../vm-worker-messages.ts';
import type { ResidentVm, WorkerContext } from './vm-worker-main.ts';

const text = v.pipe(v.string(), v.maxLength(200));
/** The identity that travels with the offer: made by another host, so checked before it is believed. */
const identitySchema = v.object({
  vmId: v.pipe(text, v.transform((id) => id as VmId)),
  name: text,
  mac: v.pipe(v.string(), v.regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/), v.transform((mac) => mac as MacAddress)),
  ip: text,
  netmask: text,
  gateway: text,
  password: text,
});

/** Resolves with the VM once it runs here, or with null after the page was told why it does not. */
export async function receiveVm(order: Extract<ToVmWorker, { type: 'receive' }>, building: Promise<Machine>, context: WorkerContext): Promise<ResidentVm | null> {
  const link = openLink(order.ends);
  const { compressor, pageHash } = await context.engines;
  let identity: VmIdentity | null = null;
  let machine: Machine | null = null;
  let port: TargetPort | null = null;
  let connected: Pick<ResidentVm, 'console' | 'agent'> | null = null;
  let scrollback = '';

  const receiver = startReceiver({
    async prepare(offer) {
      const checked = v.safeParse(identitySchema, offer.extra);
      if (!checked.success) throw new Error(`The offer does not say who the VM is: ${checked.issues[0].message}.`);
      identity = checked.output;
      const built = await building;
      machine = built;
      built.network.setMac(identity.mac);
      return announced(built, () => {
        scrollback = new TextDecoder().decode(built.scrollback());
        connected = context.connect(built);
      });
    },
    lease(offer, epoch: LeaseEpoch) {
      if (machine === null) throw new Error('The lease was asked for before the machine was built.');
      const { url, ...credentials } = context.relay;
      port = attachTarget({
        url: `${url}/port`, credentials, vmId: offer.vmId, epoch, migrationId: order.migrationId, fromHostId: order.from,
        nic: machine.network, clock: systemClock,
      });
      return port.targetLease();
    },
    link,
    clock: systemClock,
    compressor,
    pageHash,
    onLog: (line: string) => context.post({ type: 'log', level: 'info', text: line }),
  });
  const end = await receiver.done;
  link.close();
  if (end.outcome !== 'completed' || identity === null || machine === null || port === null || connected === null) {
    (port as TargetPort | null)?.dispose();
    context.post({ type: 'not-arrived', cause: end.outcome === 'completed' ? 'internal' : end.cause, reason: end.outcome === 'completed' ? 'The VM did not arrive whole.' : end.reason });
    return null;
  }
  const owner = (port as TargetPort).asOwner();
  context.watchPort(owner);
  const { console, agent } = connected as Pick<ResidentVm, 'console' | 'agent'>;
  context.post({ type: 'arrived', vm: identity, epoch: owner.epoch, scrollback });
  void agent.clock(() => Date.now()).then((answer) => {
    if (answer === null) context.post({ type: 'log', level: 'bad', text: 'The guest did not take the time of this host; its clock may be off.' });
  });
  return { machine, identity, port: owner, agent, console };
}

/** The machine as the engine sees it; `beforeRun` is called with all state restored and nothing executed yet. */
function announced(machine: Machine, beforeRun: () => void): TargetVm {
  return {
    fingerprint: machine.fingerprint,
    space: machine.space,
    writePages: (pages, data) => machine.writePages(pages, data),
    readPages: (pages, into) => machine.readPages(pages, into),
    differsFromBase: () => machine.differsFromBase(),
    restoreDevices: (state) => machine.restoreDevices(state),
    run(stoppedForMs) {
      beforeRun();
      return machine.run(stoppedForMs);
    },
    alive: () => machine.alive(),
    discard: () => machine.discard(),
  };
}
