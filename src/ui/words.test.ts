import { describe, expect, it } from 'vitest';
import type { MigrationPhase } from '../migration/report.ts';
import { THERE, vm } from './testing/views.ts';
import { linkWord, phaseSentence, vmStateWord } from './words.ts';

describe('what the page calls things', () => {
  it('says how a VM is in a word, the most pressing first', () => {
    expect(vmStateWord(vm())).toBe('running');
    expect(vmStateWord(vm({ state: 'migrating' }))).toBe('moving');
    expect(vmStateWord(vm({ waitingFor: 'the server' }))).toBe('waiting');
    expect(vmStateWord(vm({ state: 'migrating', waitingFor: 'the target' }))).toBe('moving');
    expect(vmStateWord(vm({ hostId: THERE, here: false, ownerPresent: false, waitingFor: 'the server' }))).toBe('its tab is away');
    expect(vmStateWord(vm({ ended: true, ownerPresent: false }))).toBe('off');
    expect(vmStateWord(vm({ hostId: THERE, here: false, movedAway: true }))).toBe('running');
  });

  it('has a sentence of its own for every phase', () => {
    const phases: readonly MigrationPhase[] = ['offer', 'prepare', 'rounds', 'hold', 'switchover', 'commit', 'done'];
    const sentences = [
      ...phases.map((phase) => phaseSentence({ phase, round: 1 })),
      phaseSentence({ phase: 'rounds', round: 2 }),
      phaseSentence({ phase: 'offer', round: 0, targetLoaded: 0.4 }),
    ];
    expect(new Set(sentences).size).toBe(phases.length + 2);
  });

  it('names every way between two tabs', () => {
    expect(['webrtc', 'relay', 'local', 'trying'].map((link) => linkWord(link as 'webrtc'))).toEqual([
      'direct (WebRTC)',
      'through the server',
      'inside this browser',
      'connecting …',
    ]);
  });
});
