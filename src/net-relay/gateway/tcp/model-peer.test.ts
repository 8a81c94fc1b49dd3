import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../migration/testing/seeded-random.ts';
import { HeapClock } from '../testing/heap-clock.ts';
import { CLEAN, impaired, LossyWire, type Impairment } from '../testing/lossy-wire.ts';
import { ModelPeer } from '../testing/model-peer.ts';
import { join, noise, parseSegment, TcpHost, TestApplication } from '../testing/tcp-host.ts';
import { serializeTcp } from './segment.ts';

const GATEWAY = 0x0a560001;
const GUEST = 0x0a560002;

function converse(
  impairment: Impairment,
  seed: number,
  toGuest: Uint8Array,
  fromGuest: Uint8Array,
): { clock: HeapClock; peer: ModelPeer; application: TestApplication } {
  const clock = new HeapClock();
  const random = new SeededRandom(seed);
  const down = new LossyWire(clock, random, impairment, (bytes) => peer.receive(parseSegment(bytes, GATEWAY, GUEST)));
  const up = new LossyWire(clock, random, impairment, (bytes) => host.receive(bytes, GUEST));
  const host: TcpHost = new TcpHost(GATEWAY, clock, random, (bytes) => down.send(bytes));
  const peer: ModelPeer = new ModelPeer(clock, fromGuest, (segment) => up.send(serializeTcp(segment, GUEST, GATEWAY)));
  const application = new TestApplication(toGuest, true);
  host.connect(GUEST, 80, application);
  return { clock, peer, application };
}

describe('TCP with a plain peer that knows no options', () => {
  it('keeps within its window and MSS and loses nothing, whatever the wire does (GW24)', () => {
    for (const [probability, seeds] of [
      [0, 2],
      [0.01, 10],
      [0.05, 20],
      [0.15, 10],
    ] as const) {
      for (let seed = 1; seed <= seeds; seed++) {
        const random = new SeededRandom(seed);
        const toGuest = noise(seed, 30_000 + random.below(30_000));
        const fromGuest = noise(seed + 100, 30_000 + random.below(30_000));
        const { clock, peer, application } = converse(impaired(probability), seed, toGuest, fromGuest);
        while (!(peer.finished && application.ended) && clock.now() < 3_600_000 && clock.fireNext());
        const label = `seed ${seed}, probability ${probability}`;
        expect(peer.complaints, label).toEqual([]);
        expect(Buffer.compare(Uint8Array.from(peer.received), toGuest), label).toBe(0);
        expect(Buffer.compare(join(application.received), fromGuest), label).toBe(0);
      }
    }
  });

  it('waits at a window that stays closed for a minute, without giving up or sending into it (GW27)', () => {
    const { clock, peer, application } = converse(CLEAN, 1, new Uint8Array(50_000), new Uint8Array(0));
    while (peer.received.length < 10_000 && clock.fireNext());
    peer.window = 0;
    peer.update();
    const end = clock.now() + 60_000;
    while ((clock.nextAt ?? end) < end) clock.fireNext();
    expect(application.closed).toBe(null);
    expect(peer.reset).toBe(false);
    peer.window = 20_000;
    // Nobody announces the new window: the probe finds it.
    while (peer.received.length < 50_000 && clock.now() < end + 120_000 && clock.fireNext());
    expect(peer.received.length).toBe(50_000);
    expect(peer.complaints).toEqual([]);
  });
});
