/** Data that a migration's offer carries besides the machine. The target checks it before it uses it. */
import * as v from 'valibot';
import { MigrationError } from '../migration/migration-error.ts';
import type { LeaseEpoch, MacAddress, VmId } from '../shared/ids.ts';
import type { VmIdentity } from './vm-worker-messages.ts';

export interface CarriedVm {
  readonly identity: VmIdentity;
  /** The lease's epoch at the source. */
  readonly epoch: LeaseEpoch;
}

const text = v.pipe(v.string(), v.maxLength(200));
const carriedVmSchema = v.object({
  identity: v.object({
    vmId: v.pipe(
      text,
      v.transform((id) => id as VmId),
    ),
    name: text,
    mac: v.pipe(
      v.string(),
      v.regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/),
      v.transform((mac) => mac as MacAddress),
    ),
    ip: text,
    netmask: text,
    gateway: text,
    password: text,
  }),
  epoch: v.pipe(
    v.number(),
    v.integer(),
    v.minValue(1),
    v.transform((epoch) => epoch as LeaseEpoch),
  ),
});

/** Throws MigrationError('bad-message') if the offer does not say who the VM is. */
export function readCarriedVm(extra: unknown): CarriedVm {
  const checked = v.safeParse(carriedVmSchema, extra);
  if (!checked.success) throw new MigrationError('bad-message', `The offer does not say who the VM is: ${checked.issues[0].message}.`);
  return checked.output;
}
