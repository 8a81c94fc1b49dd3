import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Capture, parsePcap, pcapRecord, type CapturedFrame, type CaptureFile } from './capture.ts';
import { noise } from './testing/tcp-host.ts';

/** Returns the frames of a file, which must be as long as it says. */
function framesOf({ bytes, pieces }: CaptureFile): CapturedFrame[] {
  const whole = Buffer.concat(pieces);
  expect(whole.length).toBe(bytes);
  return parsePcap(whole)!;
}

/** Memory is freed one segment per turn. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('a capture', () => {
  it('is a pcap file with every frame and its time (GW60)', () => {
    let now = 1_700_000_000_000.25;
    const capture = new Capture({ wallClock: () => now });
    capture.receive(noise(1, 60));
    now += 1234.5;
    capture.receive(noise(2, 1514));
    const file = capture.toPcap();
    expect(Buffer.concat(file.pieces).toString('hex', 0, 24)).toBe('a1b2c3d4000200040000000000000000000005ee00000001');
    const frames = framesOf(file);
    expect(frames.map(({ at }) => at)).toEqual([1_700_000_000_000.25, 1_700_000_001_234.75]);
    expect(frames.map(({ frame }) => Buffer.compare(frame, noise(frame.length === 60 ? 1 : 2, frame.length)))).toEqual([0, 0]);
  });

  it('keeps the last frames that fit its memory, whatever their sizes, and says how many it lost (GW60)', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 14, max: 1518 }), { maxLength: 200 }), (sizes) => {
        const capture = new Capture({ wallClock: () => 0, bytes: 8192, segmentBytes: 2048 });
        for (const [index, size] of sizes.entries()) capture.receive(noise(index, size));
        const frames = framesOf(capture.toPcap());
        expect(frames.length + capture.frames.lost).toBe(sizes.length);
        expect(capture.frames.held).toBe(frames.length);
        const kept = sizes.slice(sizes.length - frames.length);
        expect(frames.map(({ frame }) => frame.length)).toEqual(kept);
        for (const [index, { frame }] of frames.entries()) {
          expect(Buffer.compare(frame, noise(sizes.length - frames.length + index, frame.length))).toBe(0);
        }
        // All segments but the newest are as full as frames of these sizes make them.
        if (capture.frames.lost > 0) expect(frames.reduce((sum, { frame }) => sum + frame.length + 16, 0)).toBeGreaterThan(3 * (2048 - 1534));
      }),
    );
  });

  it('takes memory as it needs it, up to its bound, and gives it back (GW60)', async () => {
    const bytes = 1024 * 1024;
    const capture = new Capture({ wallClock: () => 0, bytes, segmentBytes: bytes / 8 });
    for (let count = 0; count < 3000; count++) {
      capture.receive(noise(count, 1000));
      if (count === 0) expect(capture.memoryBytes).toBe(bytes / 8);
      if (count === 900) expect(capture.frames.lost).toBe(0);
    }
    expect(capture.memoryBytes).toBe(bytes);
    const file = capture.toPcap();
    const frames = framesOf(file);
    expect(frames.length).toBeGreaterThan((bytes * 7) / 8 / 1016 - 8);
    for (const [index, { frame }] of frames.entries()) expect(Buffer.compare(frame, noise(3000 - frames.length + index, 1000))).toBe(0);
    file.dispose();
    const memory = file.pieces.map(({ buffer }) => buffer);
    capture.dispose();
    await turns(8);
    expect(memory.slice(1).map(({ byteLength }) => byteLength)).toEqual(Array<number>(8).fill(0));
    expect([capture.memoryBytes, capture.frames.held, capture.toPcap().bytes]).toEqual([0, 0, 24]);
  });

  it('gives a file that stays as it was, whatever comes meanwhile, until it is disposed (GW60)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constantFrom('file', 'read', 'dispose')), { maxLength: 60 }),
        fc.boolean(),
        async (steps, ended) => {
          const capture = new Capture({ wallClock: () => 0, bytes: 8192, segmentBytes: 1024 });
          let sent = 0;
          const files: { readonly file: CaptureFile; readonly from: number; readonly to: number }[] = [];
          const memory = new Set<ArrayBufferLike>();
          const check = ({ file, from, to }: (typeof files)[number]): void => {
            const frames = framesOf(file);
            expect(frames.length).toBe(to - from);
            for (const [index, { frame }] of frames.entries()) expect(Buffer.compare(frame, noise(from + index, 100))).toBe(0);
          };
          for (const step of steps) {
            if (typeof step === 'number') {
              for (let count = 0; count < step; count++) capture.receive(noise(sent++, 100));
            } else if (step === 'file') {
              const file = capture.toPcap();
              for (const { buffer } of file.pieces.slice(1)) memory.add(buffer);
              files.push({ file, from: capture.frames.lost, to: sent });
            } else if (step === 'read') {
              files.forEach(check);
            } else {
              files.shift()?.file.dispose();
            }
          }
          if (ended) capture.dispose();
          files.forEach(check);
          for (const { file } of files) file.dispose();
          capture.dispose();
          await turns(8);
          for (const { byteLength } of memory) expect(byteLength).toBe(0);
        },
      ),
    );
  });

  it('can be streamed without end, record by record (GW60)', () => {
    const records: Uint8Array[] = [];
    const capture = new Capture({ wallClock: () => 5, bytes: 100, segmentBytes: 100, onRecord: (record) => void records.push(record) });
    for (let count = 0; count < 10; count++) capture.receive(noise(count, 200));
    expect(records).toEqual(Array.from({ length: 10 }, (_, count) => pcapRecord(noise(count, 200), 5)));
    expect(capture.frames).toEqual({ held: 0, lost: 10 });
  });
});
