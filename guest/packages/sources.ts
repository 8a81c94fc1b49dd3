/** The list of what the guest is made of: for the manifest, and as a text that people read (SOURCES). */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GuestManifest } from '../../src/emulator-bridge/guest-manifest.ts';
import { licencesIn } from './licence.ts';
import type { WantedPackage } from './apt.ts';

export type PackageRecord = GuestManifest['packages'][number];

/** `documentFolders` are searched for `<package>/copyright`. */
export function packageRecords(packages: readonly WantedPackage[], documentFolders: readonly string[]): PackageRecord[] {
  return packages.map((entry) => {
    const file = documentFolders.map((folder) => join(folder, entry.name, 'copyright')).find((path) => existsSync(path));
    return {
      name: entry.name,
      version: entry.version,
      licence: file === undefined ? 'see copyright file' : licencesIn(readFileSync(file, 'utf8')),
      source: [`${entry.source} ${entry.sourceVersion}`, ...entry.builtUsing].join(', '),
    };
  });
}

export function sourcesText(packages: readonly PackageRecord[]): string {
  const rows = packages.map((entry) => `${entry.name} ${entry.version}\n    source:  ${entry.source}\n    licence: ${entry.licence}`);
  return `What the guest of this server is made of

The guest is a Linux system made of unchanged Debian packages (one instruction of busybox is redirected, see below) and
of a few programs of TabMotion itself. Much of it is under the GNU General Public License: whoever passes the guest on,
and that includes serving it to a browser, passes the licence on with it, and must offer the source.

Source of a Debian package, on any Debian system whose package sources list "deb-src":

    apt-get source SOURCE=VERSION            (names and versions are below)

and, for versions that are no longer current, from Debian's snapshot archive. The full licence texts are in the guest:
/usr/share/doc/PACKAGE/copyright. The kernel's modules are stripped of debug data and signatures. In busybox the shell's
question for the cursor's position is switched off; how, is in TabMotion's guest/image/quiet-prompt.ts. TabMotion's own
programs, boot loader and scripts are in guest/ of its source, under the MIT licence. The emulator is v86 (BSD-2-Clause),
with write tracking added by TabMotion's src/emulator-bridge/build.

${rows.join('\n\n')}
`;
}
