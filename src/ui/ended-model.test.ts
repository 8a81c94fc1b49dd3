import { describe, expect, it } from 'vitest';
import { endedWords } from './ended-model.ts';
import { overlayOf } from './overlay-model.ts';
import { endedVm, scene, THERE, vm } from './testing/views.ts';

const lostHere = endedVm({ wasHere: true, text: 'pc-0 ended when this tab was reloaded or left.' });
const elsewhere = vm({ here: false, hostId: THERE });

describe('what the page says of VMs that are no more', () => {
  it('is nothing while there is none', () => {
    expect(endedWords(scene())).toBeNull();
  });

  it('names the newest first, and counts what is left to the log', () => {
    const many = Array.from({ length: 5 }, (_, index) => endedVm({ id: `vm-1${index}` }));
    const words = endedWords(scene({ endedVms: many }));
    expect(words?.shown.map(({ id }) => id)).toEqual(['vm-14', 'vm-13', 'vm-12']);
    expect(words?.also).toBe('The log has 2 more that ended.');
    expect(words?.offersStart).toBe(false);
  });

  it('says after a reload that the PC in this tab is another one', () => {
    expect(endedWords(scene({ endedVms: [lostHere] }))).toMatchObject({ also: 'The PC in this tab now is a new one.', offersStart: false });
    expect(endedWords(scene({ endedVms: [endedVm()] }))?.also).toBe('');
  });

  it('offers a new PC where none took the place of the lost one: over the empty console, or beside the others', () => {
    expect(endedWords(scene({ endedVms: [lostHere] }, elsewhere))?.offersStart).toBe(true);
    expect(endedWords(scene({ endedVms: [lostHere], starting: { text: 'Loading the PC', fraction: 0 } }, elsewhere))?.offersStart).toBe(false);
    expect(endedWords(scene({ endedVms: [endedVm()] }, elsewhere))?.offersStart).toBe(false);
    expect(endedWords(scene({ endedVms: [lostHere] }, null))?.offersStart).toBe(false);
    expect(overlayOf(scene({ endedVms: [lostHere] }, null))).toEqual({ kind: 'empty', anew: true });
    expect(overlayOf(scene({}, null))).toEqual({ kind: 'empty', anew: false });
  });
});
