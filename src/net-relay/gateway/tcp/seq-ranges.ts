import type { SeqRange } from './segment.ts';
import { seqDiff } from './sequence.ts';

/**
 * A bounded set of sequence numbers as disjoint ranges in rising order: what the receiver holds out of order, and what
 * the peer says it holds (SACK scoreboard).
 */
export class SeqRanges {
  private ranges: SeqRange[] = [];
  private readonly limit: number;

  /** At most `limit` ranges: a peer that sends every other byte must not grow the list. */
  constructor(limit: number) {
    this.limit = limit;
  }

  get all(): readonly SeqRange[] {
    return this.ranges;
  }

  get empty(): boolean {
    return this.ranges.length === 0;
  }

  /** Adds [start, end). False, and nothing added, if that would be one range too many. */
  add(start: number, end: number): boolean {
    const ranges = this.ranges;
    let from = 0;
    while (from < ranges.length && seqDiff((ranges[from] as SeqRange).end, start) < 0) from++;
    let to = from;
    let mergedStart = start;
    let mergedEnd = end;
    while (to < ranges.length) {
      const range = ranges[to] as SeqRange;
      if (seqDiff(range.start, end) > 0) break;
      if (seqDiff(range.start, mergedStart) < 0) mergedStart = range.start;
      if (seqDiff(range.end, mergedEnd) > 0) mergedEnd = range.end;
      to++;
    }
    if (to === from && ranges.length >= this.limit) return false;
    ranges.splice(from, to - from, { start: mergedStart, end: mergedEnd });
    return true;
  }

  /** Forgets everything below `seq`. */
  dropBelow(seq: number): void {
    let count = 0;
    for (const range of this.ranges) {
      if (seqDiff(range.end, seq) > 0) break;
      count++;
    }
    if (count > 0) this.ranges.splice(0, count);
    const first = this.ranges[0];
    if (first !== undefined && seqDiff(first.start, seq) < 0) this.ranges[0] = { start: seq, end: first.end };
  }

  /** The end of the range that holds `seq`, or `seq` itself. */
  endOfRangeAt(seq: number): number {
    for (const range of this.ranges) {
      if (seqDiff(range.start, seq) > 0) break;
      if (seqDiff(range.end, seq) > 0) return range.end;
    }
    return seq;
  }

  /** The first start above `seq`, or `otherwise`. */
  nextStartAfter(seq: number, otherwise: number): number {
    for (const range of this.ranges) if (seqDiff(range.start, seq) > 0) return range.start;
    return otherwise;
  }

  /** Members in [from, to). */
  countIn(from: number, to: number): number {
    let count = 0;
    for (const range of this.ranges) {
      const start = seqDiff(range.start, from) > 0 ? range.start : from;
      const end = seqDiff(range.end, to) < 0 ? range.end : to;
      const length = seqDiff(end, start);
      if (length > 0) count += length;
    }
    return count;
  }

  /** The end of the last range, or `otherwise` if there is none. */
  highestEnd(otherwise: number): number {
    return this.ranges.at(-1)?.end ?? otherwise;
  }

  clear(): void {
    if (this.ranges.length > 0) this.ranges = [];
  }
}
