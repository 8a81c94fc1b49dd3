import { describe, expect, it } from 'vitest';
import { FairTurns, Reading, TURN_MS } from './fair-turns.ts';

const MESSAGE_MS = TURN_MS / 8;

/** Sockets whose messages each take an eighth of a turn. */
function server() {
  let now = 0;
  const due: (() => void)[] = [];
  const heard: string[] = [];
  const turns = new FairTurns(
    () => now,
    (callback) => void due.push(callback),
  );
  const socket = (name: string) => {
    const state = { isRead: true };
    const reading = new Reading(turns, { pause: () => void (state.isRead = false), resume: () => void (state.isRead = true) });
    let sent = 0;
    const send = (count: number, then: () => void = () => undefined, readingMs = 0): void => {
      for (let index = 0; index < count; index++) {
        const message = `${name}${sent++}`;
        now += readingMs;
        reading.hear(() => {
          now += MESSAGE_MS;
          heard.push(message);
          then();
        });
      }
    };
    return { state, reading, send };
  };
  return {
    heard,
    socket,
    due,
    /** Lets everything else have its turn. Returns how long messages were processed. */
    turn: (): number => {
      const began = now;
      for (const callback of due.splice(0)) callback();
      return now - began;
    },
  };
}

describe('fair turns (NR40)', () => {
  it('hears a flood for one turn, then one message of each socket in turn, and reads no more of the flood until it is through', () => {
    const { socket, heard, turn, due } = server();
    const [flood, quiet] = [socket('f'), socket('q')];
    flood.send(100);
    expect(heard).toHaveLength(8);
    expect(flood.state.isRead).toBe(false);
    quiet.send(2);
    expect(quiet.state.isRead).toBe(false);
    expect(turn()).toBeCloseTo(TURN_MS);
    expect(heard.slice(8, 12)).toEqual(['f8', 'q0', 'f9', 'q1']);
    expect(quiet.state.isRead).toBe(true);
    for (let turns = 0; turns < 15; turns++) turn();
    expect(heard.filter((message) => message.startsWith('f'))).toEqual(Array.from({ length: 100 }, (_, index) => `f${index}`));
    expect(flood.state.isRead).toBe(true);
    turn();
    expect(due).toEqual([]);
  });

  it('counts what reading takes as well as what is done with a message', () => {
    const { socket, heard } = server();
    const flood = socket('f');
    flood.send(100, () => undefined, MESSAGE_MS);
    // The first is heard when it is read; then each takes twice its own time.
    expect(heard).toHaveLength(4);
    expect(flood.state.isRead).toBe(false);
  });

  it('hears nothing of a socket that its listener paused, also in the middle of what had come, and then all of it in order', () => {
    const { socket, heard, turn } = server();
    const one = socket('a');
    one.send(40, () => {
      if (heard.length === 5 || heard.length === 15) one.reading.pause();
    });
    for (let turns = 0; turns < 5; turns++) turn();
    expect(heard).toHaveLength(5);
    one.reading.resume();
    expect(one.state.isRead).toBe(false);
    for (let turns = 0; turns < 5; turns++) turn();
    expect(heard).toHaveLength(15);
    one.reading.resume();
    for (let turns = 0; turns < 5; turns++) turn();
    expect(heard).toEqual(Array.from({ length: 40 }, (_, index) => `a${index}`));
    expect(one.state.isRead).toBe(true);
  });

  it('tells what came before the end first, and nothing once nobody listens any more', () => {
    const { socket, heard, turn } = server();
    const [left, refused] = [socket('l'), socket('r')];
    left.send(12);
    left.reading.close(() => heard.push('closed'));
    expect(heard.slice(-2)).toEqual(['l11', 'closed']);
    refused.send(3);
    refused.reading.end();
    expect(refused.state.isRead).toBe(true);
    turn();
    turn();
    expect(heard.at(-1)).toBe('closed');
  });

  it('goes on after a message that throws', () => {
    const { socket, heard, turn } = server();
    const one = socket('a');
    one.send(8);
    one.send(3, () => {
      if (heard.at(-1) === 'a9') throw new Error('a fault of the listener');
    });
    expect(turn).toThrow('a fault');
    turn();
    expect(heard).toHaveLength(11);
  });
});
