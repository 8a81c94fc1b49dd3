import { expect, it } from 'vitest';
import { runLengthCompressor, testPageHash } from '../migration/testing/codecs.ts';
import { MODEL_SPACE } from '../migration/testing/model-vm.ts';
import { Bitmap } from '../shared/bitmap.ts';
import { rehearse, type Stage } from './rehearsal.ts';

const ENGINES = { compressor: runLengthCompressor, pageHash: testPageHash };
const clock: Stage['clock'] = {
  now: () => 0,
  setTimeout(callback) {
    queueMicrotask(callback);
    return { dispose: () => undefined };
  },
};
const nextTask = (): Promise<void> => Promise.resolve();

function stage(state: 'stopped' | 'running') {
  const calls = { read: 0, saved: 0, restored: 0 };
  const machine: Stage['machine'] = {
    space: MODEL_SPACE,
    state,
    readPages: (pages, into) => {
      calls.read += pages.length;
      for (const page of pages) expect(page).toBeLessThan(MODEL_SPACE.ramPages);
      into.fill(pages[0] ?? 0);
    },
    baseDevices: () => null,
    differsFromBase: () => new Bitmap(1),
    saveDevices: () => {
      calls.saved++;
      return Promise.resolve(new Uint8Array(70_000).fill(7));
    },
    restoreBaseDevices: () => {
      calls.restored++;
    },
  };
  return { calls, machine };
}

it('reads pages and saves the devices of a machine that stands ready, and writes nothing', async () => {
  const { calls, machine } = stage('stopped');
  await rehearse({ machine, engines: ENGINES, clock, nextTask }, () => true);
  expect(calls.read).toBeGreaterThan(MODEL_SPACE.ramPages);
  expect([calls.saved, calls.restored]).toEqual([6, 6]);
});

it('leaves the devices of one that runs alone', async () => {
  const { calls, machine } = stage('running');
  await rehearse({ machine, engines: ENGINES, clock, nextTask }, () => true);
  expect([calls.read > 0, calls.saved, calls.restored]).toEqual([true, 0, 0]);
});

it('ends as soon as the machine is needed', async () => {
  const { calls, machine } = stage('stopped');
  let turns = 0;
  await rehearse({ machine, engines: ENGINES, clock, nextTask }, () => turns++ < 2);
  expect(calls.saved).toBe(1);
});
