/** The real guest in Node, restored from the base snapshot of the finished set: for tests. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeBaseSnapshot } from '../../src/emulator-bridge/base-snapshot.ts';
import { createMachine } from '../../src/emulator-bridge/create-machine.ts';
import type { GuestArtefact } from '../../src/emulator-bridge/guest-manifest.ts';
import type { Machine } from '../../src/emulator-bridge/machine.ts';
import type { Disposable } from '../../src/shared/disposable.ts';
import { GuestError } from '../guest-error.ts';
import { artefactPath, findGuestSet, type GuestSet } from '../guest-set.ts';
import { openFileDisk } from '../snapshot/file-disk.ts';
import { SerialWatch } from '../snapshot/serial-watch.ts';

const DIRECTORY = join(fileURLToPath(new URL('../..', import.meta.url)), '.cache/guest');
const PROMPT = 'guest# ';
const SEED = 'ef'.repeat(64);
/** A busy machine may be many times slower than an idle one; nothing but a hang takes this long. */
export const GUEST_LIMIT_MS = 600_000;

/** The set that `npm run guest` has made. Throws GuestError('not-built') if it has not. */
export function builtGuestSet(): GuestSet {
  const set = findGuestSet(DIRECTORY);
  if (set === null) throw new GuestError('not-built', 'This test needs the guest: run "npm run guest" first (npm test does).');
  return set;
}

export interface RestoredGuest extends Disposable {
  readonly machine: Machine;
  readonly console: SerialWatch;
  readonly agent: SerialWatch;
  /** Runs the machine and gives it a random seed, and so a shell; resolves at the prompt of a wide console. */
  begin(): Promise<void>;
  /** Makes the console so wide that the shell does not wrap what is typed: begin() does, and it is needed after a reboot. */
  widen(): Promise<void>;
  /** Types a command; resolves with what it printed, once the prompt is back. */
  shell(command: string): Promise<string>;
  type(text: string): void;
}

export async function restoredGuest(): Promise<RestoredGuest> {
  const { directory, manifest } = builtGuestSet();
  const bytes = (artefact: GuestArtefact): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(artefactPath(directory, artefact)));
  const disk = await openFileDisk(artefactPath(directory, manifest.disk));
  const machine = await createMachine({
    emulator: await WebAssembly.compile(bytes(manifest.emulator)),
    bios: bytes(manifest.bios),
    vgaBios: bytes(manifest.vgaBios),
    memoryBytes: manifest.memoryBytes,
    disk,
  });
  machine.loadBaseSnapshot(await decodeBaseSnapshot(bytes(manifest.snapshot)));
  const console = new SerialWatch(machine.console);
  const agent = new SerialWatch(machine.agent);
  const type = (text: string): void => machine.console.write(new TextEncoder().encode(text));
  const widen = (): Promise<void> => agent.ask('size cols=1000 rows=24', 'ok size', GUEST_LIMIT_MS);
  return {
    machine,
    console,
    agent,
    type,
    widen,
    async begin() {
      await machine.run(0);
      await widen();
      await agent.ask(`seed seed=${SEED}`, 'ok seed', GUEST_LIMIT_MS);
      await console.printed(PROMPT, GUEST_LIMIT_MS);
    },
    async shell(command) {
      const from = console.position;
      type(`${command}\n`);
      await console.printed(`\n${PROMPT}`, GUEST_LIMIT_MS, from);
      const printed = console.since(from).replaceAll('\r', '');
      return printed.slice(printed.indexOf('\n') + 1, printed.indexOf(`\n${PROMPT}`) + 1);
    },
    dispose() {
      console.dispose();
      agent.dispose();
      machine.discard();
      disk.dispose();
    },
  };
}
