import { describe, expect, it } from 'vitest';
import { ConsoleSpeech } from './console-speech.ts';

function said(...pieces: string[]): string {
  const speech = new ConsoleSpeech();
  for (const piece of pieces) speech.add(piece);
  return speech.take();
}

describe('what a screen reader is told of a console', () => {
  it('is what a command printed, without colours and blank lines', () => {
    expect(said('ls\r\n\u001b[1;34mbin\u001b[m  et', 'c\r\n\r\nguest# ')).toBe('ls\nbin  etc\nguest#');
    expect(said('\rguest# \u001b[J')).toBe('guest#');
  });

  it('is the end of much, once', () => {
    const speech = new ConsoleSpeech();
    for (let line = 1; line <= 500; line++) speech.add(`ticker ${line} gap=1000\r\n`);
    expect(speech.take()).toBe([496, 497, 498, 499, 500].map((line) => `ticker ${line} gap=1000`).join('\n'));
    expect(speech.take()).toBe('');
    expect(said('x'.repeat(100_000))).toHaveLength(200);
  });

  it('is nothing of a program that draws on the whole screen', () => {
    expect(said('\u001b[H\u001b[JMem: 20K used\r\nCPU: 1%')).toBe('');
  });
});
