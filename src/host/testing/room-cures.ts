/**
 * The cures against lost, late and repeated messages, by name, and how to disable each: the room machine must notice
 * when one is missing. A cure stays disabled until Vitest restores its mocks.
 */
import { vi } from 'vitest';
import { RelaySourceLease } from '../../net-relay/client/source-lease.ts';
import { AskedRequests } from '../host-requests.ts';
import { MigrationHistory } from '../migration-history.ts';
import { Migrations } from '../migrations.ts';
import { VmEndings } from '../vm-endings.ts';

type Method = (this: unknown, ...args: never[]) => unknown;

/** Replaces the method with what `change` makes of it. */
function replace(type: { readonly prototype: object }, name: string, change: (method: Method) => Method): void {
  const methods = type.prototype as Record<string, Method>;
  const method = methods[name];
  if (method === undefined) throw new Error(`There is no ${name}`);
  const changed = change(method);
  vi.spyOn(methods, name).mockImplementation(changed);
}

const nothing = (): Method => () => undefined;

export const CURES: Readonly<Record<string, () => void>> = {
  'a request is repeated until it is answered': () =>
    replace(
      AskedRequests,
      'ask',
      (ask) =>
        function (this: unknown, to: string, send: (requestId: string) => void) {
          let isFirst = true;
          return ask.call(
            this,
            to as never,
            ((requestId: string) => {
              if (isFirst) send(requestId);
              isFirst = false;
            }) as never,
          );
        },
    ),
  'a request ends when the host that was asked leaves': () => replace(AskedRequests, 'forgetHost', nothing),
  'how migrations ended is told again after an absence': () => replace(Migrations, 'returned', nothing),
  'who joins is told of the past': () => replace(Migrations, 'tellPast', nothing),
  'the end of a migration is news once': () => replace(MigrationHistory, 'heardEndOf', () => () => false),
  'a VM that ended here, and comes back, is alive': () => replace(VmEndings, 'isComing', nothing),
  'a source asks again when its port is attached again (NR16)': () => replace(RelaySourceLease, 'attached', nothing),
};
