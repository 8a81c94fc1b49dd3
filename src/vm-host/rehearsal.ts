/**
 * Runs the code of a move on a machine's memory, without another host. A browser optimizes code only after it has run
 * for a while, so a worker that has never moved a VM would do its first round at half the speed.
 */
import type { Machine } from '../emulator-bridge/machine.ts';
import { DeviceAssembly, serializeDevices } from '../migration/device-codec.ts';
import { PageSink } from '../migration/page-sink.ts';
import { PageStream, type PageStreamOptions } from '../migration/page-stream.ts';
import { totalPages, type TargetVm } from '../migration/ports.ts';
import { Bitmap } from '../shared/bitmap.ts';
import { PAGE_SIZE } from '../shared/page.ts';
import type { Clock } from '../shared/clock.ts';
import type { MigrationEngines } from './worker-context.ts';

/** Enough turns for the browser to optimize the code. */
const TURNS = 6;
const PAGES_A_TURN = 400;
/** Picks pages from all over the memory, other ones in each turn. */
const STRIDE = 7;
const TURN_OFFSET = 3001;
/** Pause between turns, so that the guest or the page gets the processor. */
const REST_MS = 30;

export interface Stage {
  readonly machine: Pick<Machine, 'space' | 'readPages' | 'baseDevices' | 'differsFromBase' | 'saveDevices' | 'restoreBaseDevices' | 'state'>;
  readonly engines: MigrationEngines;
  readonly clock: Clock;
  readonly nextTask: () => Promise<void>;
}

/** Ends early once `isWanted` returns false. Rejects if the machine is gone. */
export async function rehearse({ machine, engines, clock, nextTask }: Stage, isWanted: () => boolean): Promise<void> {
  const { compressor, pageHash } = engines;
  const { space } = machine;
  // Accepts everything and changes nothing.
  const listener = { space, baseDevices: () => null, readPages: () => undefined, writePages: () => undefined } as Partial<TargetVm> as TargetVm;
  for (let turn = 0; turn < TURNS && isWanted(); turn++) {
    const sink = new PageSink(listener, compressor, pageHash);
    const payloads: Uint8Array[] = [];
    const link = {
      sendBulk(_type: 'pages' | 'devices', payload: Uint8Array): number {
        payloads.push(payload);
        return payload.length;
      },
      writable: () => Promise.resolve(),
    };
    const vm: PageStreamOptions['vm'] = {
      space,
      readPages: (numbers, into) => machine.readPages(numbers, into),
      baseDevices: () => null,
      // Alternates per turn: pages are sent whole, or as their changes.
      basePage: (page) => (turn % 2 === 0 ? null : almost(machine, page)),
    };
    const stream = new PageStream(
      {
        vm,
        clock,
        compressor,
        pageHash,
        nextTask,
        bandwidthBytesPerSecond: Number.POSITIVE_INFINITY,
        roundTripMs: () => null,
        onSent: () => undefined,
      },
      link,
    );
    const pages = new Bitmap(totalPages(space));
    for (let count = 0; count < PAGES_A_TURN; count++) pages.add((count * STRIDE + turn * TURN_OFFSET) % space.ramPages);
    machine.differsFromBase();
    stream.add(pages);
    await stream.flush();
    for (const payload of payloads) {
      await nextTask();
      sink.apply('pages', payload);
    }
    if (machine.state === 'stopped' && isWanted()) await rehearseDevices(machine, engines);
    await new Promise<void>((resolve) => clock.setTimeout(resolve, REST_MS));
  }
}

/** The page with one byte changed. */
function almost(machine: Pick<Machine, 'readPages'>, page: number): Uint8Array {
  const content = new Uint8Array(PAGE_SIZE);
  machine.readPages(Uint32Array.of(page), content);
  content[0] = ~(content[0] ?? 0);
  return content;
}

async function rehearseDevices(machine: Stage['machine'], { compressor }: MigrationEngines): Promise<void> {
  const devices = await machine.saveDevices();
  const base = machine.baseDevices();
  const assembly = new DeviceAssembly(base);
  for (const piece of serializeDevices(devices, base, compressor)) assembly.add(piece, compressor);
  assembly.finish(devices.length);
  machine.restoreBaseDevices();
}
