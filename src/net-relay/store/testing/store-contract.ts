/** What every record store must guarantee; each adapter runs it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../migration/testing/seeded-random.ts';
import type { KeyValueStore } from '../key-value-store.ts';

export interface StoreBench {
  /** The same records each time, as a new process would find them. */
  open(): KeyValueStore;
  dispose(): void;
}

export const contentOf = (store: KeyValueStore): Record<string, unknown> => Object.fromEntries(store.entries());

export function describeStore(name: string, makeBench: () => StoreBench): void {
  describe(`NR25, the store: ${name}`, () => {
    let bench: StoreBench;
    beforeEach(() => {
      bench = makeBench();
    });
    afterEach(() => bench.dispose());

    it('is empty at first', async () => {
      const store = bench.open();
      expect(contentOf(store)).toEqual({});
      await store.close();
      const again = bench.open();
      expect(contentOf(again)).toEqual({});
      await again.close();
    });

    it('keeps what was put and not removed, over a close', async () => {
      const first = bench.open();
      first.put('vm/default/vm-1', { name: 'one', list: [1, 2] });
      first.put('vm/default/vm-2', { name: 'two' });
      first.put('vm/default/vm-1', { name: 'uno', list: [] });
      first.remove('vm/default/vm-2');
      first.remove('vm/default/vm-3');
      const kept = { 'vm/default/vm-1': { name: 'uno', list: [] } };
      expect(contentOf(first)).toEqual(kept);
      await first.close();
      const second = bench.open();
      expect(contentOf(second)).toEqual(kept);
      await second.close();
    });

    it('has stored a change when put returns: a process that is gone without a close loses nothing', () => {
      bench.open().put('room/default', { key: 'k' });
      expect(contentOf(bench.open())).toEqual({ 'room/default': { key: 'k' } });
    });

    it('takes any text, and values of any size up to a hundred kilobytes', async () => {
      const store = bench.open();
      const values: Record<string, unknown> = { nothing: null, text: 'ż漢€✓😀\u0000\n"\\ \ud800', zeros: [0, 0, 0], empty: '', long: 'ü'.repeat(50_000) };
      for (const [key, value] of Object.entries(values)) store.put(key, value);
      expect(contentOf(bench.open())).toEqual(values);
      await store.close();
    });

    it('is what a map is, over hundreds of changes and many processes', async () => {
      const random = new SeededRandom(7);
      const expected = new Map<string, unknown>();
      let store = bench.open();
      for (let change = 0; change < 800; change++) {
        const key = `vm/default/${random.below(60)}`;
        if (random.chance(0.3)) {
          store.remove(key);
          expected.delete(key);
        } else {
          const value = { change, text: 'x'.repeat(random.below(1500)) };
          store.put(key, value, random.chance(0.5) ? 'new' : 'settling');
          expected.set(key, value);
        }
        if (random.chance(0.01)) {
          await store.close();
          store = bench.open();
          expect(contentOf(store)).toEqual(Object.fromEntries(expected));
        }
      }
      await store.close();
    });
  });
}
