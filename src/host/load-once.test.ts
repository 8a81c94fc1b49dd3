import { expect, it } from 'vitest';
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';
import { settlable, type Settlable } from '../migration/settlable.ts';
import { loadOnce } from './load-once.ts';

const GUEST = {} as GuestSet;

it('loads at the first wish, once for all who wish, and says how much is here', async () => {
  const loads: Settlable<GuestSet>[] = [];
  const told: number[] = [];
  let progress: (fraction: number) => void = () => undefined;
  const once = loadOnce(
    (onProgress) => {
      progress = onProgress;
      loads.push(settlable<GuestSet>());
      return loads.at(-1)!.promise;
    },
    (fraction) => void told.push(fraction),
  );
  expect([loads.length, once.share()]).toEqual([0, null]);
  const both = [once.load(), once.load()];
  expect([loads.length, once.share()]).toEqual([1, 0]);
  progress(0.4);
  // More may be sent than was announced.
  progress(1.2);
  expect([told, once.share()]).toEqual([[0.4, 1.2], 1]);
  loads[0]!.resolve(GUEST);
  expect(await Promise.all([...both, once.load()])).toEqual([GUEST, GUEST, GUEST]);
  expect(loads).toHaveLength(1);
});

it('tries anew after a load that failed, which all who waited hear of', async () => {
  let attempts = 0;
  const once = loadOnce(
    () => (attempts++ === 0 ? Promise.reject(new Error('The server cannot be reached.')) : Promise.resolve(GUEST)),
    () => undefined,
  );
  const both = [once.load(), once.load()];
  for (const load of both) await expect(load).rejects.toThrow('cannot be reached');
  expect(once.share()).toBe(null);
  expect(await once.load()).toBe(GUEST);
  expect([attempts, once.share()]).toEqual([2, 0]);
});
