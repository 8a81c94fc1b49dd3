import { describe, expect, it } from 'vitest';
import { panicStage } from './panic-report.ts';

const REASON = '[   12.5] Kernel panic - not syncing: sysrq triggered crash\r\n';
const REST = '[   12.6] CPU: 0 PID: 61 Comm: sh Not tainted\r\n[   12.7] Kernel Offset: disabled\r\n';
const END = '[   12.8] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\r\n';
const SENTENCE = "The guest's kernel panicked: sysrq triggered crash.";

describe('a panic that the kernel reported', () => {
  it('is over once the kernel has printed its last words, or has had the time to', () => {
    expect(panicStage(REASON + REST, 1000)).toEqual({ kind: 'printing' });
    expect(panicStage(REASON + REST + END, 1000)).toEqual({ kind: 'over', sentence: SENTENCE });
    expect(panicStage(REASON + REST, 100_000_000)).toEqual({ kind: 'over', sentence: SENTENCE });
  });

  it('is not over in the middle of the last line', () => {
    for (let length = 0; length < END.length; length++) {
      expect(panicStage(REASON + REST + END.slice(0, length), 1000)).toEqual({ kind: 'printing' });
    }
  });

  it('is not over when the kernel restarts the machine itself', () => {
    expect(panicStage(`${REASON}${REST}[   12.8] Rebooting in 5 seconds..`, 200_000_000)).toEqual({ kind: 'restarts' });
  });

  it("has the kernel's reason, not one that a program printed before", () => {
    const joke = 'Kernel panic - not syncing: just a joke\n---[ end Kernel panic - not syncing: just a joke ]---\nRebooting in 5 seconds..\n';
    expect(panicStage(joke + REASON, 1000)).toEqual({ kind: 'printing' });
    expect(panicStage(joke + REASON + END, 1000)).toEqual({ kind: 'over', sentence: SENTENCE });
  });

  it('has a sentence also when the console says nothing, or too much', () => {
    expect(panicStage('guest# ', 100_000_000)).toEqual({ kind: 'over', sentence: "The guest's kernel panicked." });
    const stage = panicStage(`Kernel panic - not syncing: \x1b]0;${'x'.repeat(5000)}\r\n`, 100_000_000);
    expect(stage.kind === 'over' && /^The guest's kernel panicked: \]0;x{197}\.$/.test(stage.sentence)).toBe(true);
  });
});
