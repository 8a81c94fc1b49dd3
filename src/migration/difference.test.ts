import { expect, it } from 'vitest';
import { applyDifference } from './difference.ts';
import { SeededRandom } from './testing/seeded-random.ts';

it('a difference is undone by what it was taken from, wherever the two lie and however long they are', () => {
  const random = new SeededRandom(6);
  for (let count = 0; count < 200; count++) {
    const [start, otherStart, length, otherLength] = [random.below(5), random.below(5), random.below(40), random.below(40)];
    const content = random.bytes(start + length).subarray(start);
    const other = random.bytes(otherStart + otherLength).subarray(otherStart);
    const before = [...content];
    applyDifference(content, other);
    expect([...content]).toEqual(before.map((byte, at) => byte ^ (other[at] ?? 0)));
    applyDifference(content, other);
    expect([...content]).toEqual(before);
  }
});
