import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteQueue } from './byte-queue.ts';

describe('ByteQueue', () => {
  it('behaves as an array of bytes, taken from the front', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('push' as const), byte: fc.nat(255) }),
      fc.record({ kind: fc.constant('pushAll' as const), bytes: fc.uint8Array({ maxLength: 100 }) }),
      fc.record({ kind: fc.constant('shift' as const) }),
      fc.record({ kind: fc.constant('clear' as const) }),
      fc.record({ kind: fc.constant('drop' as const), count: fc.integer({ min: -5, max: 120 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const queue = new ByteQueue();
        let model: number[] = [];
        for (const each of steps) {
          if (each.kind === 'push') {
            queue.push(each.byte);
            model.push(each.byte);
          } else if (each.kind === 'pushAll') {
            queue.pushAll(each.bytes);
            model.push(...each.bytes);
          } else if (each.kind === 'shift') expect(queue.shift()).toBe(model.shift());
          else if (each.kind === 'clear') {
            queue.clear();
            model = [];
          } else {
            queue.drop(each.count);
            model.splice(0, Math.max(0, each.count));
          }
          expect(queue.length).toBe(model.length);
        }
        expect([...queue.toBytes()]).toEqual(model);
      }),
    );
  });
});
