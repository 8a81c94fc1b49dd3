import { parseArgs } from 'node:util';

export const USAGE = `Usage: npm run guest -- [options]

Makes the guest (kernel, disk, base snapshot) out of Debian's i386 packages, into .cache/guest. What is finished is kept.

  --guest-url URL   take a finished set from a web server instead; then nothing of Debian is needed
                    (also: environment variable TABMOTION_GUEST_URL)
  --export DIR      write the finished set into DIR, to be put on any web server
  --update          ask the package sources for newer versions first
  --check           build the disk a second time, and say whether every byte is the same
  --help            this text`;

export interface CliOptions {
  readonly guestUrl: string | null;
  readonly exportTo: string | null;
  readonly update: boolean;
  readonly check: boolean;
  readonly help: boolean;
}

/** Throws an Error with a sentence for an option that does not exist or does not fit. */
export function parseCliOptions(words: readonly string[]): CliOptions {
  const { values } = parseArgs({
    args: [...words],
    options: {
      'guest-url': { type: 'string' },
      export: { type: 'string' },
      update: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const guestUrl = values['guest-url'] ?? null;
  if (guestUrl !== null && !/^https?:\/\/./.test(guestUrl))
    throw new Error(`--guest-url takes an address that begins with http:// or https://, not ${JSON.stringify(guestUrl)}.`);
  if (guestUrl !== null && values.update) throw new Error('--update asks the package sources and --guest-url does without them: give one of the two.');
  return { guestUrl, exportTo: values.export ?? null, update: values.update, check: values.check, help: values.help };
}
