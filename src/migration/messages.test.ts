import { describe, expect, it } from 'vitest';
import { FUZZ_LIMIT_MS, FUZZ_RUNS } from '../shared/testing/full.ts';
import { MAX_TEXT_LENGTH } from './limits.ts';
import { parseToSource, parseToTarget, readOfferedVersions, serializeControl, type OfferMessage, type ToSource, type ToTarget } from './messages.ts';
import { MigrationError } from './migration-error.ts';
import { MODEL_FINGERPRINT, MODEL_SPACE } from './testing/model-vm.ts';
import { SeededRandom } from './testing/seeded-random.ts';
import { MAX_PAYLOAD_BYTES } from './wire.ts';

const OFFER: OfferMessage = {
  type: 'offer',
  versions: { oldest: 1, newest: 3 },
  migrationId: 'm-1',
  vmId: 'vm-1',
  vmName: 'pine 🌲',
  from: 'a',
  to: 'b',
  memoryBytes: 1 << 27,
  fingerprint: MODEL_FINGERPRINT,
  space: MODEL_SPACE,
  verify: false,
  extra: { mac: '02:00:00:00:00:01', nested: [1, null, 'grüße "quoted"'] },
};

const TO_TARGET: readonly ToTarget[] = [
  OFFER,
  { type: 'switchover', bulkMessages: 3, deviceBytes: 70_000, digest: '00ff00ff00ff00ff', stoppedAt: 12.5 },
  { type: 'scan', digest: '0123456789abcdef' },
  { type: 'resume', migrationId: 'm-1' },
  { type: 'ping', at: 1.25 },
  { type: 'end', outcome: 'cancelled', cause: 'cancelled', reason: 'The user cancelled.' },
];
const TO_SOURCE: readonly ToSource[] = [
  { type: 'accepted', version: 1 },
  { type: 'refused', cause: 'target-refused', reason: 'No.' },
  { type: 'prepared', fingerprint: MODEL_FINGERPRINT, space: MODEL_SPACE },
  { type: 'applied', messages: 12 },
  { type: 'resumed', messages: 0 },
  { type: 'running', epoch: 2, at: 99.5, verified: null },
  { type: 'pong', at: 1, received: 2, sent: 3 },
  { type: 'end', outcome: 'failed', cause: 'restore-failed', reason: 'It did not fit.' },
];

function payload(json: string): Uint8Array {
  return Uint8Array.from(json, (character) => character.charCodeAt(0) & 0xff);
}

function withOffer(change: Record<string, unknown>): Uint8Array {
  return payload(JSON.stringify({ ...OFFER, vmName: 'pine', extra: 1, ...change }));
}

const BAD = expect.objectContaining({ name: 'MigrationError', cause: 'bad-message' }) as Error;

describe('A control message', () => {
  for (const message of TO_TARGET) {
    it(`'${message.type}' to the target is read as it was written (MG9)`, () => {
      expect(parseToTarget(serializeControl(message))).toEqual(message);
    });
  }
  for (const message of TO_SOURCE) {
    it(`'${message.type}' to the source is read as it was written (MG9)`, () => {
      expect(parseToSource(serializeControl(message))).toEqual(message);
    });
  }

  it('is ASCII on the wire whatever it says (MG9)', () => {
    expect([...serializeControl(OFFER)].every((byte) => byte >= 0x20 && byte < 0x7f)).toBe(true);
  });

  it('is not made if it would not fit into one message', () => {
    expect(() => serializeControl({ ...OFFER, extra: 'x'.repeat(MAX_PAYLOAD_BYTES) })).toThrow(expect.objectContaining({ cause: 'internal' }) as Error);
  });

  const rejections: [string, Uint8Array][] = [
    ['no JSON', payload('{"type":')],
    ['bytes that are not ASCII', Uint8Array.of(0x22, 0xc3, 0xa4, 0x22)],
    ['control characters', payload('{"type":"ping",\n"at":1}')],
    ['an array', payload('[]')],
    ['an unknown type', payload('{"type":"hello"}')],
    ['a type of the other direction', payload('{"type":"applied","messages":1}')],
    ['a type from a prototype', payload('{"type":"__proto__"}')],
    ['a missing field', payload('{"type":"resume"}')],
    ['a number that is none', payload('{"type":"ping","at":"now"}')],
    ['a number that JSON makes infinite', payload('{"type":"ping","at":1e999}')],
    ['an id with other characters', withOffer({ migrationId: '../x' })],
    ['an id that is too long', withOffer({ vmId: 'x'.repeat(65) })],
    ['a name that is too long', withOffer({ vmName: 'x'.repeat(MAX_TEXT_LENGTH + 1) })],
    ['too many devices', withOffer({ fingerprint: { ...MODEL_FINGERPRINT, devices: Array.from({ length: 65 }, () => 'x') } })],
    ['more pages than any VM has', withOffer({ space: { ...MODEL_SPACE, ramPages: 2 ** 40 } })],
    ['a negative count', payload('{"type":"switchover","bulkMessages":-1,"deviceBytes":0,"digest":"0123456789abcdef","stoppedAt":0}')],
    ['a fraction where a count belongs', payload('{"type":"switchover","bulkMessages":1.5,"deviceBytes":0,"digest":"0123456789abcdef","stoppedAt":0}')],
    ['device state above the limit', payload('{"type":"switchover","bulkMessages":1,"deviceBytes":1e9,"digest":"0123456789abcdef","stoppedAt":0}')],
    ['a digest that is none', payload('{"type":"scan","digest":"xyz"}')],
    ['an unknown cause', payload('{"type":"end","outcome":"failed","cause":"bored","reason":""}')],
    ['nesting without end', payload('['.repeat(60_000))],
  ];
  for (const [what, bytes] of rejections) {
    it(`is refused with ${what} (MG9)`, () => {
      expect(() => parseToTarget(bytes)).toThrow(BAD);
    });
  }

  it('is refused in a sentence that does not repeat what came at length', () => {
    const bytes = withOffer({ migrationId: '!'.repeat(30_000) });
    try {
      parseToTarget(bytes);
      expect.unreachable();
    } catch (error) {
      expect(String(error).length).toBeLessThan(500);
    }
  });

  it(
    'made of anything is either read or refused by name, in few words (MG6, MG9, C7)',
    () => {
      const random = new SeededRandom(12);
      const good = [...TO_TARGET, ...TO_SOURCE].map((message) => serializeControl(message));
      const values = [
        '1e999',
        '-1',
        '1.5',
        'null',
        'true',
        '[]',
        '{}',
        '"x"',
        `"${'y'.repeat(70)}"`,
        '9007199254740993',
        '4294967296',
        '{"__proto__":1}',
        `[${'['.repeat(200)}`,
      ];
      let read = 0;
      for (let count = 0; count < FUZZ_RUNS; count++) {
        let bytes: Uint8Array = random.pick(good).slice();
        const kind = random.below(4);
        if (kind === 0)
          bytes = payload(String.fromCharCode(...bytes).replace(/:("[^"]*"|[0-9.]+)/g, (whole) => (random.chance(0.15) ? `:${random.pick(values)}` : whole)));
        else if (kind === 1) for (let damage = 1 + random.below(3); damage > 0; damage--) bytes[random.below(bytes.length)] = 0x20 + random.below(96);
        else if (kind === 2) bytes = bytes.slice(0, random.below(bytes.length + 1));
        else bytes = random.chance(0.5) ? random.bytes(random.below(60)) : bytes;
        for (const parse of [parseToTarget, parseToSource, readOfferedVersions]) {
          try {
            if (parse(bytes) !== null) read++;
          } catch (error) {
            if (!(error instanceof MigrationError) || error.cause !== 'bad-message' || error.message.length > 500) throw error;
          }
        }
      }
      expect(read).toBeGreaterThan(FUZZ_RUNS / 20);
    },
    FUZZ_LIMIT_MS,
  );

  it('tells the versions of an offer of any kind, so that it can be refused in words (MG5, MG10)', () => {
    expect(readOfferedVersions(payload('{"type":"offer","versions":{"oldest":7,"newest":9},"unheard":"of"}'))).toEqual({ oldest: 7, newest: 9 });
    expect(readOfferedVersions(payload('{"type":"ping","at":1}'))).toBeNull();
  });
});
