import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConsoleStream, MAX_KEPT_BYTES } from './console-stream.ts';

const LINE = 'ż漢€✓😀ñ\n';
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function record(stream: ConsoleStream): string[] {
  const heard: string[] = [];
  stream.onText((data) => heard.push(data));
  return heard;
}

/** What a terminal shows: it begins with the scroll-back, continues with new output, and decodes all of it as one stream. */
function terminalOn(stream: ConsoleStream): () => string {
  let decoder = new TextDecoder();
  let shown = decoder.decode(stream.bytes(), { stream: true });
  stream.onBytes((data) => {
    if (decode(data) === '\u001bc') {
      decoder = new TextDecoder();
      shown = '';
    } else shown += decoder.decode(data, { stream: true });
  });
  return () => shown;
}

describe('ConsoleStream', () => {
  it('tells listeners only the news when a scroll-back continues what is kept', () => {
    const stream = new ConsoleStream();
    stream.append(encode('ticker 1\nticker 2\n'));
    const heard = record(stream);
    stream.continueWith(encode('ticker 1\nticker 2\nticker 3\n'), 27);
    expect(heard).toEqual(['ticker 3\n']);
    expect(stream.text()).toBe('ticker 1\nticker 2\nticker 3\n');
  });

  it('takes a line that is printed again and again as often as it was printed', () => {
    const stream = new ConsoleStream();
    stream.append(encode('y\n'.repeat(1000)));
    stream.continueWith(encode('y\n'.repeat(900)), 2600);
    expect(stream.text()).toBe('y\n'.repeat(1300));
  });

  it('resets the terminal when a scroll-back does not continue what is kept', () => {
    for (const [scrollback, printed] of [
      ['two', 3],
      ['later', 20],
      ['', 0],
    ] as const) {
      const stream = new ConsoleStream();
      stream.append(encode('one'));
      const heard = record(stream);
      stream.continueWith(encode(scrollback), printed);
      expect(heard.join('')).toBe(`\u001bc${scrollback}`);
      expect(stream.text()).toBe(scrollback);
      expect(stream.printed).toBe(printed);
    }
  });

  it('keeps a bounded end, which begins with a line', () => {
    const stream = new ConsoleStream();
    for (let line = 0; line < 20_000; line++) stream.append(encode(LINE));
    expect(stream.bytes().length).toBeLessThanOrEqual(MAX_KEPT_BYTES);
    expect(stream.bytes().length).toBeGreaterThan(MAX_KEPT_BYTES - encode(LINE).length);
    expect(stream.text().startsWith(LINE)).toBe(true);
    expect(stream.printed).toBe(20_000 * encode(LINE).length);
  });

  it('begins with a whole character where no line begins', () => {
    for (let shift = 0; shift < 4; shift++) {
      const stream = new ConsoleStream();
      stream.append(encode(`${'x'.repeat(shift)}${'😀'.repeat(MAX_KEPT_BYTES / 4)}`));
      expect(stream.text()).toMatch(/^x*(😀)+$/u);
    }
  });

  it('shows every character whole and once, wherever its bytes are cut and whenever somebody begins to look', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(7), { maxLength: 40 }), fc.nat(40), fc.nat(40), fc.nat(30), (cuts, joinsAt, movesAt, lost) => {
        const whole = encode(LINE.repeat(10));
        const stream = new ConsoleStream();
        let looker = (): string => '';
        let text = '';
        let at = 0;
        cuts.forEach((size, index) => {
          if (index === joinsAt % cuts.length) {
            looker = terminalOn(stream);
            text = stream.text();
            stream.onText((news) => {
              text = news.startsWith('\u001bc') ? news.slice(2) : text + news;
            });
          }
          const piece = whole.subarray(at, at + size);
          at += piece.length;
          // Another place sends its scroll-back. Its beginning may be gone, but never all of it.
          if (index === movesAt % cuts.length) stream.continueWith(whole.subarray(Math.min(lost, Math.max(0, at - 8)), at), at);
          else stream.append(piece);
        });
        const shown = new TextDecoder().decode(whole.subarray(0, at), { stream: true });
        for (const seen of [stream.text(), ...(cuts.length > 0 ? [text, looker()] : [])]) {
          expect(seen).not.toContain('\ufffd');
          expect(shown.endsWith(seen)).toBe(true);
        }
      }),
    );
  });
});
