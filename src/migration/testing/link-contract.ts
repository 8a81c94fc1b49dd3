/** What every Link promises (ports.ts), as tests that each kind of link runs. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MigrationError } from '../migration-error.ts';
import type { Lane, Link } from '../ports.ts';
import { MAX_MESSAGE_BYTES } from '../wire.ts';
import { SeededRandom } from './seeded-random.ts';

export interface LinkUnderTest {
  readonly left: Link;
  readonly right: Link;
  /** Resolves when `reached` is true: lets messages arrive until then. Rejects if that never happens. */
  until(reached: () => boolean): Promise<void>;
  dispose(): void | Promise<void>;
}

const LANES = ['control', 'bulk'] as const;

/** Declares the suite. `make` opens a fresh link for every test. */
export function describeLinkContract(name: string, make: () => LinkUnderTest | Promise<LinkUnderTest>): void {
  describe(`${name} keeps the promises of a Link`, () => {
    let link: LinkUnderTest;
    beforeEach(async () => {
      link = await make();
    });
    afterEach(() => link.dispose());

    for (const lane of LANES) {
      it(`carries messages of every size up to the limit whole and in order, both ways (${lane})`, async () => {
        const random = new SeededRandom(1);
        const sizes = [1, 2, 24, 1000, MAX_MESSAGE_BYTES, 3, MAX_MESSAGE_BYTES - 1, 17];
        const messages = sizes.map((size) => random.bytes(size));
        for (const [from, to] of [
          [link.left, link.right],
          [link.right, link.left],
        ] as const) {
          const heard = listen(to[lane]);
          for (const message of messages) from[lane].send(message.slice());
          await link.until(() => heard.length === messages.length);
          expect(heard.map((message) => message.length)).toEqual(sizes);
          messages.forEach((message, index) => expect(Buffer.compare(message, heard[index] ?? new Uint8Array(0))).toBe(0));
        }
      });

      it(`keeps what arrives before anybody listens (${lane})`, async () => {
        link.left[lane].send(Uint8Array.of(1));
        const other = listen(link.right[lane === 'control' ? 'bulk' : 'control']);
        link.left[lane === 'control' ? 'bulk' : 'control'].send(Uint8Array.of(9));
        await link.until(() => other.length === 1);
        const heard = listen(link.right[lane]);
        link.left[lane].send(Uint8Array.of(2));
        await link.until(() => heard.length === 2);
        expect(heard.map(([byte]) => byte)).toEqual([1, 2]);
      });

      it(`is writable while little is queued, and again after much has left (${lane})`, async () => {
        await link.left[lane].writable();
        const heard = listen(link.right[lane]);
        const total = 256;
        let sent = 0;
        const sending = (async () => {
          for (; sent < total; sent++) {
            await link.left[lane].writable();
            link.left[lane].send(new Uint8Array(MAX_MESSAGE_BYTES / 2).fill(sent & 0xff));
          }
        })();
        await link.until(() => heard.length === total);
        await sending;
        expect(heard.map(([byte]) => byte)).toEqual(Array.from({ length: total }, (_, index) => index & 0xff));
      });

      it(`refuses to send once it is closed, and says that nothing can be written (${lane})`, async () => {
        link.left.close();
        expect(() => link.left[lane].send(Uint8Array.of(1))).toThrow(MigrationError);
        await expect(link.left[lane].writable()).rejects.toMatchObject({ cause: 'link-failed' });
      });

      it(`tells a listener that comes late that it is closed (${lane})`, () => {
        link.left.close();
        const reasons: string[] = [];
        link.left[lane].onClose((reason) => reasons.push(reason));
        expect(reasons).toHaveLength(1);
      });
    }

    it('tells the other side once that it was closed, behind all messages sent before', async () => {
      const heard = listen(link.right.control);
      const reasons: string[] = [];
      const heardAtClose: number[] = [];
      link.right.control.onClose((reason) => {
        reasons.push(reason);
        heardAtClose.push(heard.length);
      });
      link.left.control.send(Uint8Array.of(1));
      link.left.control.send(Uint8Array.of(2));
      link.left.close();
      link.left.close();
      await link.until(() => reasons.length > 0);
      expect(reasons).toEqual([expect.stringMatching(/\S/)]);
      expect(heardAtClose).toEqual([2]);
    });

    it('wakes whoever waits to write when it closes', async () => {
      const lane = link.left.bulk;
      const rejected: unknown[] = [];
      let waiting = 0;
      // If nobody takes in messages, a lane fills up after at most some megabytes.
      for (let count = 0; count < 1024; count++) {
        const state = { written: false };
        const writable = lane.writable().then(() => {
          state.written = true;
        });
        await Promise.resolve();
        await Promise.resolve();
        if (!state.written) {
          waiting = 1;
          writable.catch((error: unknown) => rejected.push(error));
          break;
        }
        lane.send(new Uint8Array(MAX_MESSAGE_BYTES));
      }
      link.left.close();
      await link.until(() => rejected.length === waiting);
      for (const error of rejected) expect(error).toMatchObject({ cause: 'link-failed' });
    });

    it('tells nothing more to a listener that was disposed', async () => {
      const first: Uint8Array[] = [];
      const subscription = link.right.control.onMessage((message) => first.push(message));
      subscription.dispose();
      const heard = listen(link.right.control);
      link.left.control.send(Uint8Array.of(1));
      await link.until(() => heard.length === 1);
      expect(first).toEqual([]);
    });
  });
}

function listen(lane: Lane): Uint8Array[] {
  const heard: Uint8Array[] = [];
  lane.onMessage((message) => heard.push(message));
  return heard;
}
