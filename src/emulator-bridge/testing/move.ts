/** Moves a guest between two machines of one process, as the migration engine does between two tabs. */
import { PAGE_SIZE } from '../../shared/page.ts';
import type { Machine } from '../machine.ts';
import { differingPages } from './write-oracle.ts';

export interface MoveFigures {
  /** Pages copied in each round; the last while the guest was stopped. */
  readonly rounds: readonly number[];
  /** Pages in which the two machines differed at the switchover; must be empty. */
  readonly differing: readonly number[];
  /** Pages that the source says differ from the base and the target does not; must be empty. */
  readonly forgotten: readonly number[];
  /** The guest stood still for up to this many milliseconds longer than the target was told. */
  readonly untoldMs: number;
}

/**
 * Copies the running `source` to `target`, which is stopped and fresh from the same base snapshot. Then stops the
 * source and runs the target. Awaits `meanwhile` in each pre-copy round. The source remains, stopped.
 */
export async function move(source: Machine, target: Machine, meanwhile: () => Promise<void>, preCopyRounds = 3): Promise<MoveFigures> {
  const rounds: number[] = [];
  const copy = (pages: Uint32Array): void => {
    const data = new Uint8Array(pages.length * PAGE_SIZE);
    source.readPages(pages, data);
    target.writePages(pages, data);
    rounds.push(pages.length);
  };
  await source.startDirtyLog();
  copy(source.differsFromBase().toArray());
  for (let round = 0; round < preCopyRounds; round++) {
    await meanwhile();
    copy((await source.takeDirty()).toArray());
  }
  const stopping = performance.now();
  await source.pause();
  const stopped = performance.now();
  await source.drainDisk();
  copy((await source.takeDirty()).toArray());
  await target.restoreDevices(await source.saveDevices());
  const differing = differingPages(source, target);
  const known = target.differsFromBase();
  const forgotten = [...source.differsFromBase()].filter((page) => !known.has(page));
  const starting = performance.now();
  await target.run(starting - stopped);
  const started = performance.now();
  await target.alive();
  return { rounds, differing, forgotten, untoldMs: stopped - stopping + (started - starting) };
}
