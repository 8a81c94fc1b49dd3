import { describe, expect, it } from 'vitest';
import { FRESH_MS, headline } from './headline-model.ts';
import { ended, endedVm, hosts, progress, scene, THERE, vm } from './testing/views.ts';

const say = (...with_: Parameters<typeof scene>): string => {
  const { text, detail } = headline(scene(...with_), 1_500);
  return `${text} ${detail}`;
};

describe('the sentence at the top', () => {
  it('says what is going on before there is a VM', () => {
    expect(say({ starting: { text: 'Loading the guest, 40 %', fraction: 0.4 } }, null)).toContain('A PC is getting ready');
    expect(say({}, null)).toContain('No PC runs in this room yet');
    expect(say({ endedVms: [endedVm()] }, null)).toContain('No PC runs in this room any more');
  });

  it('says how to get a second host to somebody who is alone', () => {
    expect(say({ hosts: hosts.slice(0, 1) })).toContain('Open the invitation in a second tab or on another computer');
    expect(say({ hosts: hosts.slice(0, 1), othersCanJoin: false })).toContain('Open the invitation in a second tab, and');
  });

  it('names the one place a VM can go, or counts them', () => {
    expect(say()).toContain('it moves to Laptop of Ada while it runs');
    expect(say({ hosts: [...hosts, { id: 'x', name: 'x', self: false, ready: true, vms: 0 }] })).toContain('2 other tabs');
  });

  it('follows a migration, then tells its pause, and lets go of it after a while', () => {
    expect(say({ migrations: [progress()] })).toContain('pc-1 is moving to Laptop of Ada');
    expect(say({ migrations: [progress()] }, vm({ state: 'migrating', waitingFor: 'The target is slow.' }))).toContain(
      'moving to Laptop of Ada. The target is slow.',
    );
    const moved = vm({ here: false, movedAway: true, hostId: THERE });
    const after = scene({ reports: [ended()] }, moved);
    expect(headline(after, 1_500)).toMatchObject({ text: 'pc-1 now runs in Laptop of Ada.', tone: 'good' });
    expect(headline(after, 1_500).detail).toContain('31 ms');
    expect(headline(after, 1_000 + FRESH_MS).text).toBe('A real PC is running in Laptop of Ada.');
  });

  it('says why a VM ended, if it did not power off', () => {
    const off = vm({ ended: true, state: 'paused' });
    const log = [{ at: 1, level: 'bad', vmId: 'vm-1', text: "The guest's kernel panicked: Out of memory." }] as const;
    expect(headline(scene({ log }, off), 1_500)).toEqual({
      text: 'pc-1 is off.',
      detail: "The guest's kernel panicked: Out of memory. It can be started again.",
      tone: 'bad',
    });
    expect(headline(scene({}, off), 1_500)).toMatchObject({ detail: 'It can be started again.', tone: 'calm' });
  });

  it('makes no news of a migration that ended before this tab joined', () => {
    const there = vm({ here: false, hostId: THERE });
    expect(headline(scene({ reports: [ended({}, 'past')] }, there), 1_500).text).toBe('A real PC is running in Laptop of Ada.');
    expect(say({ reports: [ended({ outcome: 'failed', reason: 'The other tab was closed.' }, 'past')] })).not.toContain('did not move');
  });

  it('gives the reason when a migration did not complete', () => {
    const sentence = say({ reports: [ended({ outcome: 'failed', reason: 'The other tab was closed.', pauseMs: 0 })] });
    expect(sentence).toContain('did not move');
    expect(sentence).toContain('The other tab was closed.');
  });

  it('does not say that a VM runs on which ended in the middle of its move', () => {
    const reports = [ended({ outcome: 'failed', cause: 'vm-ended', reason: 'The VM was powered off before it could be moved.' })];
    expect(say({ reports })).toBe('pc-1 is off. The VM was powered off before it could be moved.');
    expect(say({ reports }, vm({ ended: true }))).toBe('pc-1 is off. It can be started again.');
  });

  it('says what a VM waits for, and when its tab is away or it is off', () => {
    expect(say({}, vm({ waitingFor: 'The server cannot be reached.' }))).toContain('The server cannot be reached.');
    expect(say({}, vm({ here: false, hostId: THERE, ownerPresent: false }))).toContain('is away');
    expect(say({}, vm({ ended: true }))).toContain('is off');
  });

  it('names the VM when there are several', () => {
    expect(say({ vms: [vm(), vm({ id: 'vm-2', name: 'pc-2' })] })).toContain('pc-1 is running in this tab');
  });
});
