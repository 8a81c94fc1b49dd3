/** What must hold in every rehearsal, whatever fails (I1-I3 and I5 of PROTOCOL.md, rules MG23-MG35). Each throws with the story. */
import { PAGE_SIZE } from '../../shared/page.ts';
import type { Arbiter } from './arbiter.ts';
import type { Staging } from './staging.ts';

/** Watches a rehearsal: call `step` after every step and `end` when both sides have ended. */
export class Invariants {
  private readonly rehearsal: Staging<Arbiter>;
  private framesSeen = 0;
  private lastCounter = 0;
  private atCommitBroken: Error | null = null;

  constructor(rehearsal: Staging<Arbiter>) {
    this.rehearsal = rehearsal;
    rehearsal.arbiter.onCommit = () => {
      try {
        this.atCommit();
      } catch (error) {
        // If thrown here, it would count as a refusal by the relay.
        this.atCommitBroken ??= error instanceof Error ? error : new Error(String(error));
      }
    };
  }

  step(): void {
    if (this.atCommitBroken !== null) throw this.atCommitBroken;
    const { arbiter, sourceVm, targetVm, source, target } = this.rehearsal;
    if (sourceVm.running && source.isUp && arbiter.owner !== 'source') this.broken("I1: the source runs a VM that is the target's");
    if (targetVm?.running === true && target.isUp && arbiter.owner !== 'target' && !arbiter.tookBack) {
      this.broken('I1: the target runs a VM that it does not own');
    }
    for (; this.framesSeen < arbiter.frames.length; this.framesSeen++) {
      const { from, owner, counter } = arbiter.frames[this.framesSeen]!;
      if (from !== owner) this.broken(`I1: a frame of the ${from} got out while the VM was the ${owner}'s`);
      if (counter <= this.lastCounter) this.broken(`I1: the world saw step ${counter} of the guest after step ${this.lastCounter}`);
      this.lastCounter = counter;
    }
  }

  /** I3: at the commit both copies are the same machine. */
  private atCommit(): void {
    const { sourceVm, targetVm } = this.rehearsal;
    if (targetVm === null) this.broken('The lease moved to a target without a VM');
    if (sourceVm.running) this.broken('I1: the lease moved while the source still ran the VM');
    for (let at = 0; at < sourceVm.memory.length; at += PAGE_SIZE) {
      if (Buffer.compare(sourceVm.memory.subarray(at, at + PAGE_SIZE), targetVm.memory.subarray(at, at + PAGE_SIZE)) !== 0) {
        this.broken(`I3: page ${at / PAGE_SIZE} differs at the commit`);
      }
    }
  }

  end(): void {
    const { arbiter, sourceVm, targetVm, source, target, report, end } = this.rehearsal;
    if (!source.isDead && report === null) this.broken('I5: the source has not ended');
    if (!target.isDead && end === null) this.broken('I5: the target has not ended');
    if (report?.outcome !== 'completed' && report !== null && !/^[A-Z].*[.)]$/s.test(report.reason ?? ''))
      this.broken(`I5: '${report.reason ?? ''}' is no sentence`);
    if (!source.isDead) {
      if (sourceVm.logging || sourceVm.cpuFraction !== 1) this.broken('MG34: the source is still tracked or throttled');
      if (source.openTimers > 0) this.broken(`MG34: ${source.openTimers} timers are left at the source`);
      if (arbiter.sourceListeners > 0) this.broken("MG34: listeners are left at the source's lease");
    }
    if (!target.isDead) {
      if (target.openTimers > 0) this.broken(`MG34: ${target.openTimers} timers are left at the target`);
      if (arbiter.targetListeners > 0) this.broken("MG34: listeners are left at the target's lease");
    }
    for (const link of this.rehearsal.links) {
      for (const lane of link.lanes) {
        const host = link.lanes.indexOf(lane) % 2 === 0 ? source : target;
        if (!host.isDead && (lane.listeners > 0 || !lane.isClosed)) this.broken(`MG34: ${host.name} has left ${lane.label} open`);
      }
    }
    if (arbiter.owner === 'source' && !source.isDead) {
      if (!sourceVm.running) this.broken('I2: the source owns the VM and does not run it');
      if (report?.outcome === 'completed') this.broken('I5: the source reports a migration that did not happen');
      if (!target.isDead && targetVm !== null && !targetVm.discarded) this.broken('MG34: the target has kept a VM that is not its own');
    }
    if (arbiter.owner === 'target') {
      if (!this.rehearsal.vmIsLost && (targetVm === null || !targetVm.running)) this.broken('I2: the target owns the VM and does not run it');
      if (!source.isDead && (!sourceVm.discarded || report?.outcome !== 'completed')) this.broken('I5: the source does not know that the VM has moved');
    }
  }

  private broken(what: string): never {
    throw new Error(`${what}\n${this.rehearsal.world.story(120)}`);
  }
}
