import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../migration/testing/virtual-clock.ts';
import { createTerminalLog, LINES_A_MINUTE, MAX_LINE_LENGTH, printable } from './terminal-log.ts';

describe('what strangers cause to be said on the terminal', () => {
  it('is shown without control characters, escapes and line breaks', () => {
    expect(printable('Unexpected token \u001b[2J\u001b]0;owned\u0007\r\nTabMotion is ready: http://evil.example')).toBe(
      'Unexpected token \\u{1b}[2J\\u{1b}]0;owned\\u{7}\\u{d}\\u{a}TabMotion is ready: http://evil.example',
    );
    expect(printable('\u202egnp.exe\u2028\u009b31m\ud800')).toBe('\\u{202e}gnp.exe\\u{2028}\\u{9b}31m\\u{d800}');
    expect(printable('Ports of “Größe 🐧” are open.')).toBe('Ports of “Größe 🐧” are open.');
  });

  it('shows a stack in lines, of which none begins with what a message says', () => {
    const error = new Error('a\nTabMotion is ready: http://evil.example\n\n    at home');
    const lines = printable(error.stack ?? '').split('\n');
    expect(lines.length).toBeGreaterThan(2);
    expect(lines[0]).toBe('Error: a\\u{a}TabMotion is ready: http://evil.example\\u{a}');
    expect(lines.slice(1).filter((line) => !line.startsWith('    at '))).toEqual([]);
  });

  it('is bounded and printable whatever is sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.nat({ max: 100 }), (text, times) => {
        const shown = printable(text.repeat(times));
        const lines = shown.split('\n');
        return (
          shown.length <= MAX_LINE_LENGTH * 10 &&
          !/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/.test(shown) &&
          lines.slice(1).every((line) => line.startsWith('    at '))
        );
      }),
    );
  });

  it('is said ten times a minute, each topic by itself, with a count of what was left out', () => {
    const clock = new VirtualClock();
    const said: string[] = [];
    const log = createTerminalLog((line) => said.push(line), clock);
    const [signalling, gateways] = [log.about('signalling'), log.about('gateways')];
    for (let number = 0; number < LINES_A_MINUTE + 7; number++) signalling(`bad message ${number}`);
    gateways('a port is taken');
    expect(said).toHaveLength(LINES_A_MINUTE + 1);
    expect(clock.nextAt).toBe(clock.now() + 60_000);
    clock.fireNext();
    expect(said.at(-1)).toBe('7 more lines about signalling were left out within a minute.');
    signalling('again');
    expect(said.at(-1)).toBe('again');
    expect(clock.pending).toBe(0);
  });

  it('says or counts every line, however they are spread over time', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 20_000 }), { maxLength: 200 }), (gaps) => {
        const clock = new VirtualClock();
        let said = 0;
        let leftOut = 0;
        const log = createTerminalLog((line) => {
          const count = /^(\d+) more lines/.exec(line)?.[1];
          if (count === undefined) said += 1;
          else leftOut += Number(count);
        }, clock);
        const say = log.about('requests');
        const began = clock.now();
        for (const gap of gaps) {
          const until = clock.now() + gap;
          while (clock.nextAt !== null && clock.nextAt <= until) clock.fireNext();
          clock.pass(until - clock.now());
          say('line');
        }
        const minutes = Math.floor((clock.now() - began) / 60_000) + 1;
        log.dispose();
        return said + leftOut === gaps.length && said <= minutes * LINES_A_MINUTE && clock.pending === 0;
      }),
    );
  });
});
