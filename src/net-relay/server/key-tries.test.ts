import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../migration/testing/virtual-clock.ts';
import { KeyTries } from './key-tries.ts';
import { RELAY_PROTOCOL_VERSION } from '../protocol/relay-protocol.ts';
import { MAX_ADDRESSES_REMEMBERED, WRONG_KEYS_AT_ONCE } from '../limits/server-limits.ts';
import { VirtualLan } from '../testing/virtual-lan.ts';

const [GUESSER, OTHER] = ['192.0.2.1', '192.0.2.2'];

describe('wrong keys (NR33)', () => {
  it('are looked at a few times at once, then once a second, of each address by itself', () => {
    const clock = new VirtualClock();
    const tries = new KeyTries(clock);
    for (let time = 0; time < WRONG_KEYS_AT_ONCE; time++) {
      expect(tries.allows(GUESSER)).toBe(true);
      tries.wrong(GUESSER);
    }
    expect([tries.allows(GUESSER), tries.allows(OTHER), tries.allows(null)]).toEqual([false, true, true]);
    clock.pass(1000);
    expect(tries.allows(GUESSER)).toBe(true);
    tries.wrong(GUESSER);
    expect(tries.allows(GUESSER)).toBe(false);
  });

  it('are forgotten of the address that was wrong longest ago when there are too many', () => {
    const tries = new KeyTries(new VirtualClock());
    const wrong = (address: string, times: number): void => {
      for (let time = 0; time < times; time++) tries.wrong(address);
    };
    wrong(GUESSER, WRONG_KEYS_AT_ONCE);
    for (let number = 1; number < MAX_ADDRESSES_REMEMBERED; number++) wrong(`address-${number}`, 1);
    expect(tries.allows(GUESSER)).toBe(false);
    wrong(OTHER, 1);
    expect(tries.allows(GUESSER)).toBe(true);
  });
});

describe('a relay whose keys somebody guesses (NR33)', () => {
  let lan: VirtualLan;
  beforeEach(() => {
    lan = new VirtualLan();
  });
  afterEach(() => {
    expect(lan.troubles).toEqual([]);
    lan.dispose();
  });

  /** What the relay answers first. */
  function say(hostId: string, key: string, address: string | null): string {
    const said: string[] = [];
    const events = lan.relay.connect(
      'host',
      {
        backlogBytes: 0,
        sendText: (text) => void said.push(/"(?:type|cause)":"([a-z-]+)"[^"]*"(?:cause":"([a-z-]+))?/.exec(text)?.slice(1).filter(Boolean).at(-1) ?? ''),
        sendUtf8: () => undefined,
        sendBinary: () => undefined,
        pause: () => undefined,
        resume: () => undefined,
        close: () => undefined,
        terminate: () => undefined,
      },
      { address },
    );
    events.text(
      JSON.stringify({
        type: 'hello',
        version: RELAY_PROTOCOL_VERSION,
        room: 'default',
        key,
        hostId,
        hostToken: `token-of-${hostId}-0123456789`,
        name: hostId,
      }),
    );
    return said[0] ?? '';
  }

  it('looks at no more keys from there for a moment, but hosts of the room go on, in the same network too', async () => {
    const key = lan.relay.defaultRoomKey;
    expect(say('member', key, GUESSER)).toBe('welcome');
    const answers = Array.from({ length: WRONG_KEYS_AT_ONCE + 3 }, (_, number) => say('guesser', `a-wrong-key-${number}-0123456789`, GUESSER));
    expect(answers).toEqual([...Array<string>(WRONG_KEYS_AT_ONCE).fill('key'), ...Array<string>(3).fill('too-many-tries')]);
    expect([say('newcomer', key, GUESSER), say('newcomer', key, OTHER), say('member', key, GUESSER)]).toEqual(['too-many-tries', 'welcome', 'welcome']);
    await lan.pass(2000);
    expect(say('another', key, GUESSER)).toBe('welcome');
    expect(lan.relay.stats().refusals).toMatchObject({ key: WRONG_KEYS_AT_ONCE, 'too-many-tries': 4 });
  });
});
