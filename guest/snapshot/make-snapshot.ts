/** Boots the guest once, without a page, and saves it with its agent waiting, before it has a seed, a shell or an identity. */
import { copyFileSync, constants, openSync, closeSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { decodeBaseSnapshot, saveBaseSnapshot } from '../../src/emulator-bridge/base-snapshot.ts';
import { createMachine } from '../../src/emulator-bridge/create-machine.ts';
import type { Machine, MachineParts } from '../../src/emulator-bridge/machine.ts';
import { PAGE_SIZE } from '../../src/shared/page.ts';
import { GuestError } from '../guest-error.ts';
import { openFileDisk } from './file-disk.ts';
import { SerialWatch } from './serial-watch.ts';

/** A boot takes some seconds; a busy machine may need many times that. */
const BOOT_LIMIT_MS = 300_000;
const ANSWER_LIMIT_MS = 60_000;
/** Wait after the last answer, so that the timers and writes that it caused are done. */
const SETTLE_MS = 1000;
/** For a machine that is thrown away. */
const TRIAL_SEED = '00'.repeat(64);
/** Blocks of the disk copied at once. */
const COPY_PAGES = 256;

export interface SnapshotParts extends Omit<MachineParts, 'disk'> {
  /** The disk before its first boot. */
  readonly diskFile: string;
}

export interface SnapshotFigures {
  readonly bootInstructions: number;
  readonly bootMs: number;
  readonly usedPages: number;
  readonly writtenBlocks: number;
  /** From loading the snapshot until the shell answered. */
  readonly restoreMs: number;
}

/** Writes into `folder`: base.snapshot, and disk.img as it is at that moment. Rejects with GuestError('boot-failed'). */
export async function makeSnapshot(parts: SnapshotParts, folder: string, report: (text: string, fraction?: number) => void): Promise<SnapshotFigures> {
  const disk = join(folder, 'disk.img');
  copyFileSync(parts.diskFile, disk, constants.COPYFILE_FICLONE);
  const booted = await bootAndSave(parts, disk, report);
  writeFileSync(join(folder, 'base.snapshot'), booted.snapshot);
  report('trying the snapshot');
  const restoreMs = await tryOut({ ...parts, diskFile: disk }, booted.snapshot);
  const figures: SnapshotFigures = { ...booted.figures, restoreMs };
  writeFileSync(join(folder, 'figures.json'), JSON.stringify(figures, null, 1));
  return figures;
}

async function bootAndSave(
  parts: SnapshotParts,
  finalDisk: string,
  report: (text: string, fraction?: number) => void,
): Promise<{ snapshot: Uint8Array; figures: Omit<SnapshotFigures, 'restoreMs'> }> {
  return withMachine(parts, async (machine, _console, agent) => {
    report('booting');
    const began = performance.now();
    await machine.run(0);
    await agent.printed('event ready', BOOT_LIMIT_MS);
    const figures = { bootInstructions: machine.instructionCount(), bootMs: Math.round(performance.now() - began) };
    await agent.ask('hello', 'tabmotion-agent 1', ANSWER_LIMIT_MS);
    report('settling');
    await agent.ask('settle', 'event settled', ANSWER_LIMIT_MS);
    await new Promise((done) => setTimeout(done, SETTLE_MS));
    await machine.pause();
    await machine.drainDisk();
    report('saving');
    const writtenBlocks = copyWrittenBlocks(machine, finalDisk);
    const snapshot = await saveBaseSnapshot(machine);
    return { snapshot, figures: { ...figures, usedPages: usedPages(machine), writtenBlocks } };
  });
}

/** Brings the disk image into the state that the snapshot expects; returns how many blocks it wrote. */
function copyWrittenBlocks(machine: Machine, disk: string): number {
  const { ramPages, videoPages } = machine.space;
  const firstBlock = ramPages + videoPages;
  const written = machine
    .differsFromBase()
    .toArray()
    .filter((page) => page >= firstBlock);
  const file = openSync(disk, 'r+');
  try {
    for (let at = 0; at < written.length; at += COPY_PAGES) {
      const pages = written.subarray(at, at + COPY_PAGES);
      const data = new Uint8Array(pages.length * PAGE_SIZE);
      machine.readPages(pages, data);
      pages.forEach((page, index) => writeSync(file, data, index * PAGE_SIZE, PAGE_SIZE, (page - firstBlock) * PAGE_SIZE));
    }
  } finally {
    closeSync(file);
  }
  return written.length;
}

function usedPages(machine: Machine): number {
  const page = new Uint8Array(PAGE_SIZE);
  let used = 0;
  for (let number = 0; number < machine.space.ramPages; number++) {
    machine.readPages(Uint32Array.of(number), page);
    if (page.some((byte) => byte !== 0)) used++;
  }
  return used;
}

/** A snapshot is only published after a second machine has answered from it. */
async function tryOut(parts: SnapshotParts, snapshot: Uint8Array): Promise<number> {
  return withMachine(parts, async (machine, console, agent) => {
    const began = performance.now();
    machine.loadBaseSnapshot(await decodeBaseSnapshot(snapshot));
    await machine.run(0);
    await agent.ask(`seed seed=${TRIAL_SEED}`, 'ok seed', ANSWER_LIMIT_MS);
    await console.printed('guest# ', ANSWER_LIMIT_MS);
    await console.ask('echo snapshot-$((40 + 2))', 'snapshot-42', ANSWER_LIMIT_MS);
    const took = performance.now() - began;
    await agent.ask('hello', 'tabmotion-agent 1', ANSWER_LIMIT_MS);
    return Math.round(took);
  });
}

async function withMachine<T>(parts: SnapshotParts, use: (machine: Machine, console: SerialWatch, agent: SerialWatch) => Promise<T>): Promise<T> {
  const disk = await openFileDisk(parts.diskFile);
  const machine = await createMachine({ ...parts, disk });
  const console = new SerialWatch(machine.console);
  const agent = new SerialWatch(machine.agent);
  const troubles: string[] = [];
  machine.onTrouble((sentence) => troubles.push(sentence));
  // Otherwise we would notice a failed emulator only when the time is up.
  const ended = new Promise<never>((_, reject) => {
    machine.onState((state) => {
      if (state === 'powered-off')
        reject(
          new GuestError(
            'boot-failed',
            `The guest ended by itself. ${machine.end?.sentence ?? ''} ${troubles.join(' ')} Its last lines:\n${console.lastLines()}`,
          ),
        );
    });
  });
  try {
    return await Promise.race([use(machine, console, agent), ended]);
  } finally {
    console.dispose();
    agent.dispose();
    machine.discard();
    disk.dispose();
  }
}
