/** Which part of a tab hears each message of another host. */
import type { HostId } from '../shared/ids.ts';
import type { HostLinks } from './host-links.ts';
import type { HostMessage } from './host-messages.ts';
import type { HostReadiness } from './host-readiness.ts';
import type { LocalVms } from './local-vms.ts';
import type { Migrations } from './migrations.ts';
import type { VmConsoles } from './vm-consoles.ts';

export interface MessageReceivers {
  readonly links: Pick<HostLinks, 'receive' | 'undeliverable'>;
  readonly migrations: Pick<Migrations, 'receive' | 'undeliverable' | 'tellPast'>;
  readonly consoles: Pick<VmConsoles, 'receive'> & { readonly sizes: Pick<VmConsoles['sizes'], 'tell'> };
  readonly readiness: Pick<HostReadiness, 'heard' | 'tell'>;
  readonly localVms: Pick<LocalVms, 'heardDetails' | 'tellDetails'>;
}

export function routeMessage(from: HostId, message: HostMessage, { links, migrations, consoles, readiness, localVms }: MessageReceivers): void {
  switch (message.type) {
    case 'rtc-invite':
    case 'rtc-expected':
    case 'open-link':
    case 'link-opened':
    case 'link-refused':
    case 'link-waits':
    case 'link-abandoned':
      links.receive(from, message);
      break;
    case 'migrate':
    case 'migrated':
    case 'cancel':
    case 'cancelled':
    case 'progress':
    case 'report':
    case 'past-reports':
      migrations.receive(from, message);
      break;
    case 'console-open':
    case 'console-close':
    case 'console-data':
    case 'console-input':
    case 'console-applied':
    case 'console-size':
      consoles.receive(from, message);
      break;
    case 'vm-details':
      localVms.heardDetails(message);
      break;
    case 'host-ready':
      readiness.heard(from);
      break;
    case 'details-wanted':
      localVms.tellDetails(from);
      consoles.sizes.tell(from);
      readiness.tell(from);
      migrations.tellPast(from);
      break;
  }
}

/** The relay could not deliver this tab's message to that host. What is not repeated is lost. */
export function routeUndeliverable(to: HostId, message: HostMessage, { links, migrations }: Pick<MessageReceivers, 'links' | 'migrations'>): void {
  if (message.type === 'open-link') links.undeliverable(to, message);
  if (message.type === 'migrate' || message.type === 'cancel') migrations.undeliverable(to, message);
}
