import { describe, expect, it } from 'vitest';
import { trafficWords } from './network-panel.ts';

const traffic = { vmId: 'vm-1', framesFromGuest: 10, bytesFromGuest: 2_204_111, framesToGuest: 9, bytesToGuest: 104_250, dropped: 0 };

describe('what the page says of the traffic of a VM', () => {
  it('is bytes each way, and drops only where there are any', () => {
    expect(trafficWords(null)).toBe('');
    expect(trafficWords(traffic)).toBe('2.2 MB out · 104 kB in');
    expect(trafficWords({ ...traffic, dropped: 1 })).toBe('2.2 MB out · 104 kB in · 1 frame dropped');
  });
});
