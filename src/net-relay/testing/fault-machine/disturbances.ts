/**
 * What can go wrong for the parties of a migration: six kinds of trouble, for each of four parties.
 *
 *                    source, target             relay                        link
 *   crash            the tab is gone            the process is gone; the     falls silent for ever
 *                                               next one has its store
 *   freeze           stands still for a while   the same                     carries nothing for a while
 *   cut              loses the relay for a      both hosts lose it           breaks, and both ends hear of it
 *                    while
 *   late duplicate   what it had sent over a    the same the other way       a message arrives once more, behind
 *                    connection that broke      round: old answers beside    later ones
 *                    arrives beside its         those to repeated requests
 *                    repetition over the next
 *   cancel           its user cancels           -                            -
 *   full disk        -                          stores nothing for a while   -
 *
 * Everything but a crashed tab and a crashed link heals by itself, after a time between none and far beyond every limit.
 */
import type { Owner } from '../../../migration/testing/arbiter.ts';
import type { Staging } from '../../../migration/testing/staging.ts';
import type { Host } from '../../../migration/testing/world.ts';
import type { Direction, MemorySocket } from '../memory-network.ts';
import type { RelayArbiter } from './relay-arbiter.ts';

export const PARTIES = ['source', 'target', 'relay', 'link'] as const;
export type Party = (typeof PARTIES)[number];
export const TROUBLES = ['crash', 'freeze', 'cut', 'late duplicate', 'cancel', 'full disk'] as const;
export type Trouble = (typeof TROUBLES)[number];

/** A migration with the real relay, and what must still be undone before it can come to rest. */
export interface Scene {
  readonly staging: Staging<RelayArbiter>;
  readonly arbiter: RelayArbiter;
  /** Undoes something after a while; until then the scene is not at rest. */
  heal(ms: number, undo: () => void): void;
  /** Looks after every step, until it returns true. */
  watch(look: () => boolean): void;
}

export interface Disturbance {
  readonly party: Party;
  readonly trouble: Trouble;
  /** False where it would change nothing. */
  readonly canStrike: (scene: Scene) => boolean;
  /** `struck` is called once it has really taken place, which may be later. */
  readonly strike: (scene: Scene, struck: () => void) => void;
}

/** Two limits of the protocol are 2 s and 5 s, most are 10 s, the longest 30 s. Short ones are commoner: they cost less. */
const AWAY_MS = [1, 50, 50, 400, 400, 1500, 1500, 3000, 7000, 7000, 12_000, 40_000] as const;
/** After this time, a party that stands still counts as dead: its connections are closed, and frames in them are lost. */
const NOTICED_AFTER_MS = 3500;
/** How late old messages still arrive, counted from the break of the connection that carried them. */
const LATE_MS = [1, 5, 30, 150, 1500, 8000] as const;
/** How often the room's owner asks again while a tab cannot be removed, and how many times. */
const REMOVE_AGAIN_MS = 100;
const REMOVE_TRIES = 600;
/** How long messages pile up in a connection before it breaks. */
const PILE_MS = [0, 1, 5, 40, 300] as const;

function hostTroubles(side: Owner): Disturbance[] {
  const host = ({ staging }: Scene): Host => staging[side];
  const isUp = (scene: Scene): boolean => host(scene).isUp;
  const isConnected = (scene: Scene): boolean => isUp(scene) && scene.arbiter.sockets(side).length > 0;
  return [
    {
      party: side,
      trouble: 'crash',
      canStrike: isUp,
      strike({ staging, arbiter }, struck) {
        const { random } = staging.world;
        arbiter.mayHaveLost = true;
        staging.kill(side, random.chance(0.6));
        const noticed = random.chance(0.6);
        for (const socket of arbiter.sockets(side)) socket.die('client', noticed);
        struck();
      },
    },
    {
      party: side,
      trouble: 'freeze',
      canStrike: isUp,
      strike(scene, struck) {
        standStill(scene, host(scene));
        struck();
      },
    },
    {
      party: side,
      trouble: 'cut',
      canStrike: isConnected,
      strike(scene, struck) {
        const { arbiter, staging } = scene;
        staging.world.note(`${side} loses the relay`);
        arbiter.part(side);
        scene.heal(away(scene), () => arbiter.join(side));
        struck();
      },
    },
    {
      party: side,
      trouble: 'late duplicate',
      canStrike: isConnected,
      strike(scene, struck) {
        for (const socket of scene.arbiter.sockets(side)) arriveLate(scene, socket, 'toServer', struck);
      },
    },
    {
      party: side,
      trouble: 'cancel',
      canStrike: isUp,
      strike({ staging }, struck) {
        staging.world.note(`cancelled at the ${side}`);
        if (side === 'source') void staging.sender.cancel();
        else staging.receiver.cancel();
        struck();
      },
    },
  ];
}

const RELAY_TROUBLES: readonly Disturbance[] = [
  {
    party: 'relay',
    trouble: 'crash',
    canStrike: ({ arbiter }) => !arbiter.process.isDead,
    strike(scene, struck) {
      const { arbiter, staging } = scene;
      arbiter.crash(staging.world.random.chance(0.7));
      scene.heal(away(scene), () => arbiter.start());
      struck();
    },
  },
  {
    party: 'relay',
    trouble: 'freeze',
    canStrike: ({ arbiter }) => arbiter.isUp,
    strike(scene, struck) {
      standStill(scene, scene.arbiter.process);
      struck();
    },
  },
  {
    party: 'relay',
    trouble: 'cut',
    canStrike: ({ arbiter }) => arbiter.isUp,
    strike(scene, struck) {
      scene.staging.world.note('nobody reaches the relay');
      for (const side of ['source', 'target'] as const) {
        scene.arbiter.part(side);
        scene.heal(away(scene), () => scene.arbiter.join(side));
      }
      struck();
    },
  },
  {
    party: 'relay',
    trouble: 'late duplicate',
    canStrike: ({ arbiter, staging }) => arbiter.isUp && (['source', 'target'] as const).some((side) => staging[side].isUp && arbiter.sockets(side).length > 0),
    strike(scene, struck) {
      const { arbiter } = scene;
      for (const side of ['source', 'target'] as const) {
        for (const socket of arbiter.sockets(side)) arriveLate(scene, socket, 'toClient', struck);
      }
    },
  },
];

const LINK_TROUBLES: readonly Disturbance[] = [
  {
    party: 'link',
    trouble: 'crash',
    canStrike: ({ staging }) => staging.currentLink().isAlive,
    strike({ staging }, struck) {
      staging.world.note('the link falls silent');
      staging.currentLink().mute();
      struck();
    },
  },
  {
    party: 'link',
    trouble: 'freeze',
    canStrike: ({ staging }) => staging.currentLink().isAlive,
    strike(scene, struck) {
      const link = scene.staging.currentLink();
      scene.staging.world.note('the link carries nothing');
      link.stalled = true;
      scene.heal(away(scene), () => {
        link.stalled = false;
      });
      struck();
    },
  },
  {
    party: 'link',
    trouble: 'cut',
    canStrike: ({ staging }) => staging.currentLink().isAlive,
    strike({ staging }, struck) {
      staging.cutLink();
      struck();
    },
  },
  {
    party: 'link',
    trouble: 'late duplicate',
    canStrike: ({ staging }) => staging.currentLink().lanes.some((lane) => lane.canSendAgain),
    strike({ staging }, struck) {
      const lane = staging.world.random.pick(staging.currentLink().lanes.filter((each) => each.canSendAgain));
      staging.world.note(`a message of ${lane.label} comes again`);
      lane.sendAgain();
      struck();
    },
  },
];

export const DISTURBANCES: readonly Disturbance[] = [...hostTroubles('source'), ...hostTroubles('target'), ...RELAY_TROUBLES, ...LINK_TROUBLES];

/** Kept apart from the others, so that a schedule of any trouble, which its seed decides, stays the same schedule. */
export const FULL_DISK: Disturbance = {
  party: 'relay',
  trouble: 'full disk',
  canStrike: ({ arbiter }) => !arbiter.diskFull,
  strike(scene, struck) {
    const { arbiter, staging } = scene;
    staging.world.note("the relay's disk is full");
    arbiter.diskFull = true;
    scene.heal(away(scene), () => {
      staging.world.note("the relay's disk has space");
      arbiter.diskFull = false;
    });
    struck();
  },
};

/** A tab is closed: the same as a crash, but it says so as it closes (NR26, NR29). Kept apart from the others, as the full disk is. */
export const CLOSED_TABS: readonly Disturbance[] = (['source', 'target'] as const).map((side) => ({
  party: side,
  trouble: 'crash',
  canStrike: ({ staging }) => staging[side].isUp,
  strike({ staging, arbiter }, struck) {
    staging.world.note(`the ${side}'s tab is closed, and says so`);
    arbiter.mayHaveLost = true;
    arbiter.lastWord(side);
    staging.kill(side, true);
    for (const socket of arbiter.sockets(side)) socket.die('client', true);
    struck();
  },
}));

/** The room's owner removes a tab, which ends what it runs, once the relay allows it (NR45). Kept apart from the others, as the full disk is. */
export const REMOVED_TABS: readonly Disturbance[] = (['source', 'target'] as const).map((side) => ({
  party: side,
  trouble: 'crash',
  canStrike: ({ staging }) => staging[side].isUp,
  strike(scene, struck) {
    const { staging, arbiter } = scene;
    const attempt = (left: number): void => {
      if (!staging[side].isUp || left === 0) return;
      if (!arbiter.remove(side)) {
        // While the owner still tries, the scene is not at rest.
        scene.heal(REMOVE_AGAIN_MS, () => attempt(left - 1));
        return;
      }
      staging.world.note(`the ${side} is removed from the room`);
      staging.kill(side, true);
      for (const socket of arbiter.sockets(side)) socket.die('client', true);
      struck();
    };
    attempt(REMOVE_TRIES);
  },
}));

function away({ staging }: Scene): number {
  return staging.world.random.pick(AWAY_MS);
}

function standStill(scene: Scene, host: Host): void {
  const ms = away(scene);
  if (ms > NOTICED_AFTER_MS) scene.arbiter.mayHaveLost = true;
  host.freeze();
  scene.heal(ms, () => host.thaw());
}

/**
 * Messages pile up in one direction of a connection, which then breaks: at once for the end that sent them; for the
 * other end after the piled-up messages, which arrive late.
 */
function arriveLate(scene: Scene, socket: MemorySocket, direction: Direction, struck: () => void): void {
  const { world } = scene.staging;
  const queue = socket[direction];
  const pileUntil = world.clock.now() + world.random.pick(PILE_MS);
  const lateBy = world.random.pick(LATE_MS);
  scene.arbiter.mayHaveLost = true;
  socket.stalled.add(direction);
  scene.watch(() => {
    if (!socket.open) {
      socket.stalled.delete(direction);
      return true;
    }
    if (queue.length === 0 || world.clock.now() < pileUntil) return false;
    world.note(`${socket.name}: the connection breaks, ${queue.length} messages ${direction} are still under way`);
    socket.break(direction === 'toServer' ? 'toClient' : 'toServer');
    const latest = queue.length;
    scene.heal(lateBy, () => {
      socket.stalled.delete(direction);
      // Dropped if the other end has died in the meantime.
      if (queue.length === latest) queue.unshift(struck);
    });
    return true;
  });
}
