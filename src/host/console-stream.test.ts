import { describe, expect, it } from 'vitest';
import { ConsoleStream } from './console-stream.ts';

function record(stream: ConsoleStream): string[] {
  const heard: string[] = [];
  stream.onData((data) => heard.push(data));
  return heard;
}

describe('ConsoleStream', () => {
  it('tells listeners only the news when a scroll-back continues what is kept', () => {
    const stream = new ConsoleStream();
    stream.append('ticker 1\nticker 2\n');
    const heard = record(stream);
    stream.continueWith('hello\nticker 1\nticker 2\nticker 3\n');
    expect(heard).toEqual(['ticker 3\n']);
    expect(stream.text()).toBe('ticker 1\nticker 2\nticker 3\n');
  });

  it('resets the terminal when a scroll-back does not continue what is kept', () => {
    const stream = new ConsoleStream();
    stream.append('one');
    const heard = record(stream);
    stream.continueWith('two');
    expect(heard).toEqual(['\u001bctwo']);
    expect(stream.text()).toBe('two');
  });

  it('keeps a bounded end of the text', () => {
    const stream = new ConsoleStream();
    for (let block = 0; block < 100; block++) stream.append(String(block % 10).repeat(10_000));
    expect(stream.text().length).toBe(256 * 1024);
    expect(stream.text().endsWith('9'.repeat(10_000))).toBe(true);
  });
});
