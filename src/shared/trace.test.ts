import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Trace, type TraceEntry } from './trace.ts';

it('keeps the last entries in their order, each with its time, and tells each as it comes', () => {
  fc.assert(
    fc.property(fc.nat(50), fc.integer({ min: 1, max: 12 }), (count, capacity) => {
      let now = 0;
      const trace = new Trace({ now: () => now }, capacity);
      const told: TraceEntry[] = [];
      trace.noted.on((entry) => void told.push(entry));
      for (; now < count; now++) trace.note('pc-1', `step ${now}`);
      const all = Array.from({ length: count }, (_, at) => ({ at, subject: 'pc-1', step: `step ${at}` }));
      expect(told).toEqual(all);
      expect(trace.asItIs().entries).toEqual(all.slice(-capacity));
    }),
  );
});
