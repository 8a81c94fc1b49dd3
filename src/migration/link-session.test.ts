import { beforeEach, describe, expect, it } from 'vitest';
import { FUZZ_LIMIT_MS, FUZZ_RUNS } from '../shared/testing/full.ts';
import type { MigrationId } from '../shared/ids.ts';
import { SILENT_HEARTBEATS } from './limits.ts';
import { LinkSession, type SessionEvents } from './link-session.ts';
import { parseToSource, parseToTarget, serializeControl, type ToSource, type ToTarget } from './messages.ts';
import { MigrationError } from './migration-error.ts';
import { memoryLinkPair, type MemoryLinkPair } from './testing/memory-link.ts';
import { SeededRandom } from './testing/seeded-random.ts';
import { VirtualClock } from './testing/virtual-clock.ts';
import { hashMigrationId, MAX_MESSAGE_BYTES, MessageType, serializeMessage, type Envelope } from './wire.ts';

const ID = 'm-1' as MigrationId;

interface Heard {
  readonly control: (ToTarget | ToSource)[];
  readonly bulk: { type: string; payload: Uint8Array; acknowledge: boolean; sequence: number }[];
  readonly lost: MigrationError[];
  readonly bad: MigrationError[];
  beats: number;
}

describe('A session on a link', () => {
  let pair: MemoryLinkPair;
  let clock: VirtualClock;
  let heardAtTarget: Heard;
  let heardAtSource: Heard;
  let source: LinkSession<ToSource, ToTarget>;
  let target: LinkSession<ToTarget, ToSource>;

  function events(heard: Heard): SessionEvents<ToTarget | ToSource> {
    return {
      onControl: (message) => heard.control.push(message),
      onBulk: (type, payload, acknowledge, sequence) => heard.bulk.push({ type, payload, acknowledge, sequence }),
      onLost: (error) => heard.lost.push(error),
      onBad: (error) => heard.bad.push(error),
      onBeat: () => heard.beats++,
    };
  }
  const nothing = (): Heard => ({ control: [], bulk: [], lost: [], bad: [], beats: 0 });

  beforeEach(() => {
    pair = memoryLinkPair();
    clock = new VirtualClock();
    heardAtTarget = nothing();
    heardAtSource = nothing();
    source = new LinkSession<ToSource, ToTarget>({ link: pair.source, clock, migrationId: ID, parse: parseToSource, events: events(heardAtSource) });
    target = new LinkSession<ToTarget, ToSource>({ link: pair.target, clock, migrationId: ID, parse: parseToTarget, events: events(heardAtTarget) });
    source.start();
    target.start();
  });

  function deliverAll(): void {
    for (let round = 0; round < 100; round++) for (const lane of pair.lanes) lane.deliver();
  }

  /** Sends bytes of our own making to the target. */
  function inject(lane: 'control' | 'bulk', change: Partial<Envelope>): void {
    pair.source[lane].send(
      serializeMessage({
        version: 1,
        type: lane === 'control' ? MessageType.control : MessageType.pages,
        acknowledge: false,
        migration: hashMigrationId(ID),
        sequence: 0,
        payload: serializeControl({ type: 'ping', at: 1 }),
        ...change,
      }),
    );
    deliverAll();
  }

  it('carries control and bulk messages in order (MG3, MG4)', () => {
    source.agree(1);
    target.agree(1);
    source.sendControl({ type: 'ping', at: 5 });
    source.sendControl({ type: 'resume', migrationId: ID });
    source.sendBulk('pages', Uint8Array.of(1), false);
    source.sendBulk('devices', Uint8Array.of(2), true);
    deliverAll();
    expect(heardAtTarget.control.map((message) => message.type)).toEqual(['ping', 'resume']);
    expect(heardAtTarget.bulk).toEqual([
      { type: 'pages', payload: Uint8Array.of(1), acknowledge: false, sequence: 0 },
      { type: 'devices', payload: Uint8Array.of(2), acknowledge: true, sequence: 1 },
    ]);
    expect(source.bulkSent).toBe(2);
    expect(source.bytesSent).toBeGreaterThan(4 * 24);
  });

  const rejections: [string, RegExp, () => void][] = [
    ['a message that is lost', /one was lost/, () => inject('control', { sequence: 1 })],
    [
      'a message that is repeated',
      /one was repeated/,
      () => {
        inject('control', {});
        inject('control', {});
      },
    ],
    ['a message of another migration', /another migration/, () => inject('control', { migration: '0'.repeat(16) })],
    ['pages on the control lane', /control lane/, () => inject('control', { type: MessageType.pages })],
    ['control on the bulk lane', /bulk lane/, () => inject('bulk', { type: MessageType.control })],
    ['another version than agreed on', /version 2/, () => inject('control', { version: 2 })],
    ['pages of another version', /version 0/, () => inject('bulk', { version: 0 })],
    ['an ordinary message with the version of the handshake', /version 0/, () => inject('control', { version: 0 })],
    ['a payload that is no JSON', /not JSON/, () => inject('control', { payload: Uint8Array.of(0x7b) })],
  ];
  for (const [what, sentence, send] of rejections) {
    it(`refuses ${what}, and reads nothing after it (MG1-MG6)`, () => {
      target.agree(1);
      send();
      expect(heardAtTarget.bad).toHaveLength(1);
      expect(heardAtTarget.bad[0]?.cause).toBe('bad-message');
      expect(heardAtTarget.bad[0]?.message).toMatch(sentence);
      const before = heardAtTarget.control.length;
      source.agree(1);
      source.sendControl({ type: 'ping', at: 9 });
      deliverAll();
      expect(heardAtTarget.control).toHaveLength(before);
      expect(heardAtTarget.bad).toHaveLength(1);
    });
  }

  it('can still say why after a bad message (MG6)', () => {
    target.agree(1);
    inject('control', { sequence: 4 });
    target.sendControl({ type: 'end', outcome: 'failed', cause: 'bad-message', reason: 'No.' });
    deliverAll();
    expect(heardAtSource.control).toEqual([{ type: 'end', outcome: 'failed', cause: 'bad-message', reason: 'No.' }]);
  });

  it('lets an end through with the version of the handshake at any time (MG5)', () => {
    target.agree(1);
    source.sendControl({ type: 'end', outcome: 'cancelled', cause: 'cancelled', reason: 'Enough.' });
    deliverAll();
    expect(heardAtTarget.control).toHaveLength(1);
  });

  it('tells once that the link ended (MG31)', () => {
    pair.target.close();
    deliverAll();
    expect(heardAtSource.lost.map(({ cause }) => cause)).toEqual(['link-failed']);
    source.lost(new MigrationError('link-silent'));
    expect(heardAtSource.lost).toHaveLength(1);
    source.sendControl({ type: 'ping', at: 1 });
  });

  it('counts the link as dead after twelve beats without a word (MG31)', () => {
    source.agree(1);
    for (let beat = 0; beat < SILENT_HEARTBEATS; beat++) {
      expect(heardAtSource.lost).toHaveLength(0);
      clock.fireNext();
    }
    expect(heardAtSource.lost[0]?.cause).toBe('link-silent');
    expect(heardAtSource.beats).toBe(SILENT_HEARTBEATS - 1);
    expect(clock.pending).toBe(0);
  });

  it('hears in any message that the other side is there (MG31)', () => {
    source.agree(1);
    target.agree(1);
    for (let beat = 0; beat < 40; beat++) {
      clock.fireNext();
      if (beat % 6 === 0) {
        source.sendBulk('pages', Uint8Array.of(1), false);
        target.sendControl({ type: 'applied', messages: 0 });
      }
      deliverAll();
    }
    expect(heardAtSource.lost).toHaveLength(0);
    expect(heardAtTarget.lost).toHaveLength(0);
  });

  it('misses one beat, not a minute, when its tab was frozen (MG31)', () => {
    source.agree(1);
    clock.pass(100);
    clock.fireNext();
    // A minute passes without timers firing; then the overdue one fires, and the messages that waited are heard.
    pair.target.control.send(
      serializeMessage({
        version: 1,
        type: MessageType.control,
        acknowledge: false,
        migration: hashMigrationId(ID),
        sequence: 0,
        payload: serializeControl({ type: 'applied', messages: 0 }),
      }),
    );
    clock.fireNext();
    deliverAll();
    expect(heardAtSource.lost).toHaveLength(0);
  });

  it('leaves no listener and no timer when it is closed (MG34)', () => {
    source.agree(1);
    target.agree(1);
    source.close();
    target.close();
    expect(clock.pending).toBe(0);
    for (const lane of pair.lanes) expect(lane.listeners).toBe(0);
    expect(heardAtSource.lost).toHaveLength(0);
  });

  it(
    'refuses whatever it is sent by name: changed, cut, repeated and random messages (MG6, C7)',
    () => {
      const random = new SeededRandom(31);
      const good = [
        serializeMessage({
          version: 1,
          type: MessageType.control,
          acknowledge: false,
          migration: hashMigrationId(ID),
          sequence: 0,
          payload: serializeControl({ type: 'ping', at: 1 }),
        }),
        serializeMessage({
          version: 0,
          type: MessageType.control,
          acknowledge: false,
          migration: hashMigrationId(ID),
          sequence: 0,
          payload: serializeControl({ type: 'end', outcome: 'failed', cause: 'internal', reason: 'x' }),
        }),
      ];
      for (let count = 0; count < FUZZ_RUNS; count++) {
        const heard = nothing();
        const links = memoryLinkPair();
        const session = new LinkSession({ link: links.target, clock, migrationId: ID, parse: parseToTarget, events: events(heard) });
        session.start();
        session.agree(1);
        let message = random.chance(0.7) ? random.pick(good).slice() : random.bytes(random.below(100));
        for (let damage = random.below(4); damage > 0 && message.length > 0; damage--) message[random.below(message.length)] = random.below(256);
        if (random.chance(0.2)) message = message.slice(0, random.below(message.length + 1));
        if (random.chance(0.01)) message = new Uint8Array(MAX_MESSAGE_BYTES);
        if (message.length > 0) links.source.control.send(message);
        links.source.control.deliver();
        if (heard.control.length + heard.bad.length !== (message.length > 0 ? 1 : 0)) expect.fail('It was neither read nor refused.');
        for (const { cause } of heard.bad) if (cause !== 'bad-message' && cause !== 'message-too-large') expect.fail(`It was refused as ${cause}.`);
        session.close();
      }
      expect(clock.pending).toBe(0);
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'reads what comes in turn, and nothing from the first message that is repeated, left out or out of order (MG3, C7)',
    () => {
      const random = new SeededRandom(32);
      const numbered = Array.from({ length: 6 }, (_, sequence) =>
        serializeMessage({
          version: 1,
          type: MessageType.control,
          acknowledge: false,
          migration: hashMigrationId(ID),
          sequence,
          payload: serializeControl({ type: 'ping', at: sequence }),
        }),
      );
      for (let messages = 0; messages < FUZZ_RUNS; messages += numbered.length) {
        const heard = nothing();
        const links = memoryLinkPair();
        const session = new LinkSession({ link: links.target, clock, migrationId: ID, parse: parseToTarget, events: events(heard) });
        session.start();
        session.agree(1);
        const order = numbered.map((_, index) => (random.chance(0.8) ? index : random.below(numbered.length)));
        for (const index of order) links.source.control.send(numbered[index]!.slice());
        while (links.source.control.waiting > 0) links.source.control.deliver();
        const inTurn = order.findIndex((index, turn) => index !== turn);
        if (heard.control.length !== (inTurn < 0 ? order.length : inTurn)) expect.fail(`Of ${order.join()}, ${heard.control.length} were read.`);
        if (heard.bad.length !== (inTurn < 0 ? 0 : 1)) expect.fail(`Of ${order.join()}, ${heard.bad.length} were refused.`);
        session.close();
      }
      expect(clock.pending).toBe(0);
    },
    FUZZ_LIMIT_MS,
  );
});
