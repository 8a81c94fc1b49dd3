import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HostId } from '../shared/ids.ts';
import { AskedRequests, PerformedRequests, type Outcome } from './host-requests.ts';
import { systemClock } from '../shared/system-clock.ts';

const [A, B] = ['a', 'b'] as [HostId, HostId];

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a request to another host', () => {
  it('is performed once and answered, whichever of its messages are lost', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 12 }), fc.nat(10_000), async (lost, takesMs) => {
        const losses = lost.values();
        const pass = (deliver: () => void): void => {
          if (losses.next().value !== true) setTimeout(deliver, 5);
        };
        const asked = new AskedRequests<string>(systemClock);
        const performed = new PerformedRequests<string>();
        let times = 0;
        const action = (): Promise<string> => {
          times++;
          return new Promise((resolve) => setTimeout(() => resolve('done'), takesMs));
        };
        let outcome: Outcome<string> | null = null;
        const ask = (id: string): void => performed.perform(A, id, action, (answer) => pass(() => asked.answered(B, id, answer)));
        void asked.ask(B, (id) => pass(() => ask(id))).then((came) => (outcome = came));
        // The schedule says how often each message is lost; then one gets through.
        await vi.advanceTimersByTimeAsync(10_000 + 3000 * (lost.length + 2));
        expect(outcome).toEqual({ answer: 'done' });
        expect(times).toBe(1);
        expect(vi.getTimerCount()).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it('ends at once if the first message cannot be delivered, and not if a repeated one cannot', async () => {
    const asked = new AskedRequests<string>(systemClock);
    const sent: string[] = [];
    const first = asked.ask(B, (id) => sent.push(id));
    asked.undeliverable(A, sent[0]!);
    asked.undeliverable(B, sent[0]!);
    expect(await first).toEqual({ lost: 'not-delivered' });

    const second = asked.ask(B, (id) => sent.push(id));
    await vi.advanceTimersByTimeAsync(3000);
    expect(sent[2]).toBe(sent[1]);
    asked.undeliverable(B, sent[1]!);
    asked.answered(B, sent[1]!, 'done');
    expect(await second).toEqual({ answer: 'done' });
  });

  it('ends when the host that was asked leaves, and takes an answer from no other', async () => {
    const asked = new AskedRequests<string>(systemClock);
    let id = '';
    const outcome = asked.ask(B, (requestId) => (id = requestId));
    asked.answered(A, id, 'of another');
    asked.forgetHost(A);
    asked.forgetHost(B);
    expect(await outcome).toEqual({ lost: 'host-left' });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is answered once however often it is repeated meanwhile, and again when it is repeated after that', async () => {
    const performed = new PerformedRequests<string>();
    const told: string[] = [];
    const action = (): Promise<string> => new Promise((resolve) => setTimeout(() => resolve('done'), 100));
    for (let n = 0; n < 5; n++) performed.perform(A, 'same', action, (answer) => told.push(answer));
    await vi.advanceTimersByTimeAsync(200);
    expect(told).toEqual(['done']);
    performed.perform(A, 'same', action, (answer) => told.push(answer));
    expect(told).toEqual(['done', 'done']);
  });

  it('is another one if another host asks, and is forgotten after many others', async () => {
    const performed = new PerformedRequests<number>();
    let times = 0;
    let told = 0;
    const perform = async (from: HostId, id: string): Promise<number> => {
      performed.perform(
        from,
        id,
        () => Promise.resolve(++times),
        (answer) => (told = answer),
      );
      await vi.advanceTimersByTimeAsync(0);
      return told;
    };
    expect(await perform(A, 'same')).toBe(1);
    expect(await perform(B, 'same')).toBe(2);
    expect(await perform(A, 'same')).toBe(1);
    for (let n = 0; n < 255; n++) await perform(B, `other-${n}`);
    expect(await perform(A, 'same')).toBe(258);
  });

  it('is repeated no more once the tab closes', () => {
    const asked = new AskedRequests<string>(systemClock);
    void asked.ask(B, () => undefined);
    asked.dispose();
    expect(vi.getTimerCount()).toBe(0);
  });
});
