/** The objects of v86 that hold a PC's state. */
import type { V86Cpu } from '../v86-api.ts';

export type V86Kind =
  | 'cpu'
  | 'io'
  | 'pci'
  | 'rtc'
  | 'dma'
  | 'vga'
  | 'ps2'
  | 'vmware'
  | 'uart'
  | 'parallel'
  | 'floppyController'
  | 'floppyDrive'
  | 'diskController'
  | 'channel'
  | 'drive'
  | 'pit'
  | 'networkCard'
  | 'virtio'
  | 'queue'
  | 'sound'
  | 'absent';

export interface V86Object {
  /** As in v86: `ide.primary.master`. */
  readonly name: string;
  readonly kind: V86Kind;
  readonly object: Readonly<Record<string, unknown>>;
}

/** v86's names of the devices, and what they are; a device that this product's PCs do not have is `absent`. */
const DEVICES: Readonly<Record<string, V86Kind>> = {
  pci: 'pci',
  rtc: 'rtc',
  dma: 'dma',
  vga: 'vga',
  ps2: 'ps2',
  vmware: 'vmware',
  uart0: 'uart',
  uart1: 'uart',
  parallel0: 'parallel',
  fdc: 'floppyController',
  ide: 'diskController',
  cdrom: 'drive',
  pit: 'pit',
  virtio_net: 'networkCard',
  sb16: 'sound',
};

interface Parts {
  readonly drives?: readonly object[];
  readonly primary?: object;
  readonly secondary?: object;
  readonly master?: object;
  readonly slave?: object;
  readonly virtio?: object;
  readonly queues?: readonly object[];
}

/** The CPU, its ports, and all devices with their parts, each once. */
export function objectsOf(cpu: V86Cpu): V86Object[] {
  const found: V86Object[] = [];
  const add = (name: string, kind: V86Kind, object: object): void => {
    if (found.some((one) => one.object === object)) return;
    found.push({ name, kind, object: object as Record<string, unknown> });
    const parts = object as Parts;
    if (kind === 'floppyController') parts.drives?.forEach((drive, index) => add(`${name}.drives.${index}`, 'floppyDrive', drive));
    for (const channel of ['primary', 'secondary'] as const)
      if (kind === 'diskController' && parts[channel]) add(`${name}.${channel}`, 'channel', parts[channel]);
    for (const drive of ['master', 'slave'] as const) if (kind === 'channel' && parts[drive]) add(`${name}.${drive}`, 'drive', parts[drive]);
    if (kind === 'networkCard' && parts.virtio) add(`${name}.virtio`, 'virtio', parts.virtio);
    if (kind === 'virtio') parts.queues?.forEach((queue, index) => add(`${name}.queues.${index}`, 'queue', queue));
  };
  add('cpu', 'cpu', cpu);
  add('io', 'io', cpu.io);
  for (const [name, device] of Object.entries(cpu.devices)) if (device) add(name, DEVICES[name] ?? 'absent', device as object);
  return found;
}
