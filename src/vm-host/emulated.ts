/** The parts of a VM's worker that are the same in any runtime: the emulator, the codecs, the system's time. */
import { createMachine } from '../emulator-bridge/create-machine.ts';
import { loadGuestSet, openGuestDisk, openGuestSet } from '../emulator-bridge/guest-artefacts.ts';
import { createCompressor, createPageHash } from '../emulator-bridge/page-codec-engines.ts';
import { platformTasks } from '../emulator-bridge/platform-tasks.ts';
import { systemClock } from '../shared/system-clock.ts';
import { rehearse } from './rehearsal.ts';
import type { VmHostPlatform } from './vm-host.ts';

const tasks = platformTasks();

export const emulated: Omit<VmHostPlatform, 'post' | 'listen' | 'openSocket'> = {
  clock: systemClock,
  nextTask: () => new Promise((resolve) => tasks.soon(resolve)),
  loadGuest: (manifestUrl, onProgress) => loadGuestSet({ manifestUrl, onProgress }),
  openGuest: openGuestSet,
  createMachine(pc) {
    const { manifest } = pc;
    const digests = { emulator: manifest.emulator.sha256, disk: manifest.disk.sha256, snapshot: manifest.snapshot.sha256 };
    return createMachine({ ...pc.parts, disk: openGuestDisk(pc) }, { digests });
  },
  rehearse,
  async createEngines() {
    const [compressor, pageHash] = await Promise.all([createCompressor(), createPageHash()]);
    return { compressor, pageHash };
  },
};
