import { describe, expect, it } from 'vitest';
import { edgeTowards } from './stream.ts';

const box = (left: number, top: number): { left: number; top: number; width: number; height: number } => ({ left, top, width: 100, height: 40 });

describe('the stream of pages', () => {
  it('leaves a box at the edge that faces the other', () => {
    expect(edgeTowards(box(0, 0), box(200, 0))).toEqual({ x: 97, y: 20 });
    expect(edgeTowards(box(200, 0), box(0, 0))).toEqual({ x: 203, y: 20 });
    expect(edgeTowards(box(0, 0), box(0, 100))).toEqual({ x: 50, y: 37 });
  });

  it('stays in the middle when both are the same', () => {
    expect(edgeTowards(box(0, 0), box(0, 0))).toEqual({ x: 50, y: 20 });
  });
});
