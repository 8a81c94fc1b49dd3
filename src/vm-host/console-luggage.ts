/**
 * State of a VM's console that is in the worker and unknown to the guest. It is sent behind the machine's device state,
 * so that it arrives together with the state it belongs to, or not at all.
 *
 *     +------------------+----------------------+--------+
 *     | device state ... | JSON in UTF-8        | length |     length: u32, little-endian, of the JSON
 *     +------------------+----------------------+--------+
 */
import * as v from 'valibot';
import { MigrationError } from '../migration/migration-error.ts';
import { MAX_WRITERS } from './console-inbox.ts';

const MAX_JSON_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const luggageSchema = v.object({
  /** Bytes the console has printed since the VM began. */
  printed: count,
  /** By host: how many of the bytes typed there the guest has received. */
  applied: v.pipe(v.array(v.strictTuple([v.pipe(v.string(), v.maxLength(64)), count])), v.maxLength(MAX_WRITERS)),
});

export interface ConsoleLuggage {
  readonly printed: number;
  readonly applied: readonly (readonly [writer: string, count: number])[];
}

export function packLuggage(luggage: ConsoleLuggage, devices: Uint8Array): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(luggage));
  const packed = new Uint8Array(devices.length + json.length + LENGTH_BYTES);
  packed.set(devices);
  packed.set(json, devices.length);
  new DataView(packed.buffer).setUint32(devices.length + json.length, json.length, true);
  return packed;
}

/** Throws MigrationError('bad-message') for what packLuggage() does not make. `devices` is a view of `packed`. */
export function unpackLuggage(packed: Uint8Array): { readonly luggage: ConsoleLuggage; readonly devices: Uint8Array } {
  const end = packed.length - LENGTH_BYTES;
  if (end < 0) throw bad(`there are only ${packed.length} bytes`);
  const length = new DataView(packed.buffer, packed.byteOffset, packed.byteLength).getUint32(end, true);
  if (length > MAX_JSON_BYTES || length > end) throw bad(`its part for the console has ${length} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(packed.subarray(end - length, end)));
  } catch {
    throw bad('its part for the console is not JSON');
  }
  const checked = v.safeParse(luggageSchema, json);
  if (!checked.success) throw bad(`its part for the console does not fit (${checked.issues[0].message})`);
  return { luggage: checked.output, devices: packed.subarray(0, end - length) };
}

function bad(what: string): MigrationError {
  return new MigrationError('bad-message', `The device state is not as agreed: ${what}.`);
}
