import { describe, expect, it } from 'vitest';
import { readPan } from './model-report.ts';

const pan = (errors: number, before = '', after = ''): string => `${before}
(Spin Version 6.5.2 -- 6 December 2019)
	+ Partial Order Reduction
	+ Compression

Full statespace search for:
	never claim         	- (none specified)
	assertion violations	+
	invalid end states	+

State-vector 188 byte, depth reached 46, errors: ${errors}
   772484 states, stored
  2703108 states, matched
hash conflicts:     14671 (resolved)

Stats on memory usage (in Megabytes):
  128.000	memory used for hash table (-w24)
  218.595	total actual memory usage

${after}
pan: elapsed time 8.26 seconds
pan: rate 149411.01 states/second
`;

describe('what the model checker printed', () => {
  it('is read with its figures when nothing was wrong', () => {
    expect(readPan(pan(0))).toEqual({ violated: null, errors: 0, states: 772484, depth: 46, megabytes: 218.595, seconds: 8.26, unreached: [], incomplete: [] });
  });

  it('is read when its numbers are large or small enough for powers of ten', () => {
    const report = readPan(pan(0).replace('772484', '1.2e+07').replace('8.26', '1e-02'));
    expect(report).toMatchObject({ states: 12_000_000, seconds: 0.01 });
  });

  it('names the property that does not hold', () => {
    expect(readPan(pan(1, 'pan:1: assertion violated I1_one_host_runs (at depth 32)\npan: wrote handover.pml.trail'))).toMatchObject({
      violated: 'I1_one_host_runs',
      errors: 1,
    });
    expect(readPan(pan(1, 'pan:1: assertion violated ((s==52)||(s==51)) (at depth 29)'))?.violated).toBe('((s==52)||(s==51))');
  });

  it('names errors that are no assertion', () => {
    expect(readPan(pan(1, 'pan:1: non-progress cycle (at depth 8)'))?.violated).toBe('non-progress cycle');
    expect(readPan(pan(1, 'pan:1: invalid end state (at depth 8)'))?.violated).toBe('invalid end state');
  });

  it('tells a search that did not look at everything', () => {
    for (const said of ['error: max search depth too small', 'pan: out of memory', 'Warning: Search not completed']) {
      expect(readPan(pan(0, said))?.incomplete).toEqual([said]);
    }
  });

  it('lists what no run reached, but not the end of an endless process', () => {
    const after =
      'unreached in proctype Relay\n\thandover.pml:665, state 450, "-end-"\n\t(1 of 450 states)\nunreached in proctype Witness\n\thandover.pml:738, state 52, "seen = 26"\n\t(1 of 52 states)\n';
    expect(readPan(pan(0, '', after))?.unreached).toEqual(['Witness: seen = 26']);
  });

  it('is refused when it breaks off or is something else', () => {
    expect(readPan('')).toBeNull();
    expect(readPan('gcc: error')).toBeNull();
    expect(readPan(pan(0).split('Stats on memory')[0] ?? '')).toBeNull();
  });
});
