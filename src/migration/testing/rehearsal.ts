/** A migration whose arbiter is the model (model-arbiter.ts). */
import type { VmId } from '../../shared/ids.ts';
import { ModelArbiter } from './model-arbiter.ts';
import { Staging, type Stage, type StagingOptions } from './staging.ts';
import { World, type Host } from './world.ts';

/** How far the two hosts' clocks are apart. */
export const CLOCK_OFFSET_MS = 123_456;

export interface RehearsalOptions extends StagingOptions {
  readonly seed?: number;
  /** Continues in the world of a finished rehearsal: with the VM at that rehearsal's source if it stayed there, else from its target on. */
  readonly after?: Rehearsal;
}

export class Rehearsal extends Staging<ModelArbiter> {
  readonly relay: Host;

  constructor(options: RehearsalOptions = {}) {
    const { relay, stage } = setUp(options);
    super(stage, options);
    this.relay = relay;
  }
}

function setUp({ after, seed = 1 }: RehearsalOptions): { readonly relay: Host; readonly stage: Stage<ModelArbiter> } {
  const moved = after?.report?.outcome === 'completed';
  const world = after?.world ?? new World(seed);
  const source = after === undefined ? world.addHost('source') : moved ? after.target : after.source;
  const target = world.addHost(after === undefined ? 'target' : `target ${world.hostCount}`, CLOCK_OFFSET_MS);
  const relay = world.addHost('relay');
  const sourceVm = moved ? after.targetVm : after?.sourceVm;
  return { relay, stage: { world, source, target, arbiter: new ModelArbiter(world, relay), vmId: 'vm-1' as VmId, sourceVm } };
}
