import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Capture, parsePcap, pcapRecord } from './capture.ts';
import { noise } from './testing/tcp-host.ts';

describe('a capture', () => {
  it('is a pcap file with every frame and its time (GW60)', async () => {
    let now = 1_700_000_000_000.25;
    const capture = new Capture({ wallClock: () => now });
    capture.receive(noise(1, 60));
    now += 1234.5;
    capture.receive(noise(2, 1514));
    const file = await capture.toPcap();
    expect(Buffer.from(file.subarray(0, 24)).toString('hex')).toBe('a1b2c3d4000200040000000000000000000005ee00000001');
    const frames = parsePcap(file);
    expect(frames?.map(({ at }) => at)).toEqual([1_700_000_000_000.25, 1_700_000_001_234.75]);
    expect(frames?.map(({ frame }) => Buffer.compare(frame, noise(frame.length === 60 ? 1 : 2, frame.length)))).toEqual([0, 0]);
  });

  it('keeps the last frames that fit its memory, whatever their sizes, and says how many it lost (GW60)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 14, max: 1518 }), { maxLength: 200 }), async (sizes) => {
        const capture = new Capture({ wallClock: () => 0, bytes: 8192 });
        for (const [index, size] of sizes.entries()) capture.receive(noise(index, size));
        const frames = parsePcap(await capture.toPcap())!;
        expect(frames.length + capture.frames.lost).toBe(sizes.length);
        expect(capture.frames.held).toBe(frames.length);
        const kept = sizes.slice(sizes.length - frames.length);
        expect(frames.map(({ frame }) => frame.length)).toEqual(kept);
        for (const [index, { frame }] of frames.entries()) {
          expect(Buffer.compare(frame, noise(sizes.length - frames.length + index, frame.length))).toBe(0);
        }
        // Full frames leave at most one frame's room unused at the end.
        if (sizes.length > 20) expect(frames.reduce((sum, { frame }) => sum + frame.length + 16, 0)).toBeGreaterThan(8192 - 2 * 1534);
      }),
    );
  });

  it('takes memory as it needs it, up to its bound, and gives it back at once (GW60)', async () => {
    const bytes = 1024 * 1024;
    const capture = new Capture({ wallClock: () => 0, bytes });
    for (let count = 0; count < 3000; count++) {
      capture.receive(noise(count, 1000));
      if (count === 0) expect(capture.memoryBytes).toBeLessThan(bytes / 2);
      if (count === 900) expect(capture.frames.lost).toBe(0);
    }
    expect(capture.memoryBytes).toBe(bytes);
    const frames = parsePcap(await capture.toPcap())!;
    expect(frames.length).toBeGreaterThan(bytes / 1016 - 3);
    for (const [index, { frame }] of frames.entries()) expect(Buffer.compare(frame, noise(3000 - frames.length + index, 1000))).toBe(0);
    capture.dispose();
    expect([capture.memoryBytes, capture.frames.held, (await capture.toPcap()).length]).toEqual([0, 0, 24]);
  });

  it('is copied in pieces, and whole, whatever comes meanwhile; what has gone by then is left out (GW60)', async () => {
    const capture = new Capture({ wallClock: () => 0, bytes: 4 * 1024 * 1024 });
    const first = 4000;
    for (let count = 0; count < first; count++) capture.receive(noise(count, 1000));
    let [rests, sent] = [0, first];
    const frames = parsePcap(await capture.toPcap(() => {
      rests++;
      // The first piece is copied; these take the place of some that are not yet.
      if (rests === 1) for (let count = 0; count < 1500; count++) capture.receive(noise(sent++, 1000));
      return Promise.resolve();
    }))!;
    expect(rests).toBeGreaterThan(3);
    const numbers = frames.map(({ frame }, index) => {
      // Behind a gap they follow one another again.
      const early = index < 600 && Buffer.compare(frame, noise(index, 1000)) === 0;
      const number = early ? index : first - frames.length + index;
      expect(Buffer.compare(frame, noise(number, 1000)), `frame ${index}`).toBe(0);
      return number;
    });
    expect(numbers.at(-1)).toBe(first - 1);
    expect(frames.length).toBeLessThan(first - 500);
  });

  it('that ends while it is copied gives what was copied (GW60)', async () => {
    const capture = new Capture({ wallClock: () => 0, bytes: 4 * 1024 * 1024 });
    for (let count = 0; count < 2000; count++) capture.receive(noise(count, 1000));
    const frames = parsePcap(await capture.toPcap(() => {
      capture.dispose();
      return Promise.resolve();
    }))!;
    expect(frames.length).toBeGreaterThan(0);
    for (const [index, { frame }] of frames.entries()) expect(Buffer.compare(frame, noise(index, 1000))).toBe(0);
  });

  it('can be streamed without end, record by record (GW60)', () => {
    const records: Uint8Array[] = [];
    const capture = new Capture({ wallClock: () => 5, bytes: 100, onRecord: (record) => void records.push(record) });
    for (let count = 0; count < 10; count++) capture.receive(noise(count, 200));
    expect(records).toEqual(Array.from({ length: 10 }, (_, count) => pcapRecord(noise(count, 200), 5)));
    expect(capture.frames).toEqual({ held: 0, lost: 10 });
  });
});
