import type { Attack } from '../attack.ts';
import { captureDownloads } from './capture-downloads.ts';
import { deafHosts } from './deaf-hosts.ts';
import { foreignHost } from './foreign-host.ts';
import { frames, longMessages, smallMessages } from './floods.ts';
import { halfOpen } from './half-open.ts';
import { manySockets } from './many-sockets.ts';
import { manyVms } from './many-vms.ts';
import { propertyNames } from './property-names.ts';
import { roomNames } from './room-names.ts';
import { signallingMemory } from './signalling-memory.ts';
import { stolenForward } from './stolen-forward.ts';
import { terminal } from './terminal.ts';
import { wrongKeys } from './wrong-keys.ts';

export const ATTACKS: readonly Attack[] = [
  foreignHost,
  propertyNames,
  terminal,
  halfOpen,
  signallingMemory,
  captureDownloads,
  deafHosts,
  frames,
  smallMessages,
  longMessages,
  manyVms,
  stolenForward,
  manySockets,
  wrongKeys,
  roomNames,
];
