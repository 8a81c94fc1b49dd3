/** How a migration gets into each of its states: it passes through most by itself, and gets into some only after something went wrong. */
import type { SeededRandom } from '../../../migration/testing/seeded-random.ts';
import type { Row } from './coverage.ts';
import type { Scene } from './disturbances.ts';

export interface Route {
  /** Whether a dead link can be replaced; absent: either way. */
  readonly reconnects?: boolean;
  /** What is done after every step until the state is reached. */
  readonly make: (scene: Scene, random: SeededRandom) => () => void;
}

const BY_ITSELF: Route = { make: () => () => undefined };

/** Does something once, as soon as `when` holds. */
function once(when: (scene: Scene) => boolean, act: (scene: Scene) => void): Route['make'] {
  return (scene) => {
    let done = false;
    return () => {
      if (done || !when(scene)) return;
      done = true;
      act(scene);
    };
  };
}

const CANCEL_AT_SOURCE = ({ staging }: Scene): void => void staging.sender.cancel();

const LINK_BREAKS: Route = {
  reconnects: true,
  make: once(
    ({ staging }) => staging.sender.state() === 'copying' && staging.receiver.state() === 'receiving',
    ({ staging }) => staging.cutLink(),
  ),
};
const ABORTED: Route = {
  make: (scene, random) => {
    const state = random.pick(['handing-over', 'committing']);
    return once(({ staging }) => staging.sender.state() === state, CANCEL_AT_SOURCE)(scene, random);
  },
};
const WITHDRAWN: Route = {
  make: (scene, random) => {
    const state = random.pick(['holding', 'stopping']);
    return once(({ staging }) => staging.sender.state() === state, CANCEL_AT_SOURCE)(scene, random);
  },
};
/** The target's own message that it runs is late: the relay's arrives first. */
const WORD_IS_LATE: Route = {
  make: once(
    ({ staging }) => staging.receiver.state() === 'committing',
    (scene) => {
      const link = scene.staging.currentLink();
      link.stalled = true;
      scene.heal(5000, () => {
        link.stalled = false;
      });
    },
  ),
};
/** It is cancelled early in most cases, so that the other side, and with it the link, has not ended yet. */
const ends = (side: 'sender' | 'receiver'): Route => ({
  make: (scene, random) => {
    if (random.chance(0.25)) return () => undefined;
    return once(
      ({ staging }) => staging.receiver.state() === 'receiving',
      ({ staging }) => void staging[side].cancel(),
    )(scene, random);
  },
});

export function leadTo({ side, state }: Row): Route {
  switch (`${side} ${state}`) {
    case 'source reconnecting':
    case 'target interrupted':
      return LINK_BREAKS;
    case 'source aborting':
      return ABORTED;
    case 'source withdrawing':
      return WITHDRAWN;
    case 'source confirming':
      return WORD_IS_LATE;
    case 'source ended':
      return ends('sender');
    case 'target ended':
      return ends('receiver');
    default:
      return BY_ITSELF;
  }
}
