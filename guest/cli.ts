/** `npm run guest`: makes, checks, exports or downloads the guest set. */
import { parseCliOptions, USAGE } from './cli-options.ts';
import { ensureGuest, GuestError } from './ensure-guest.ts';
import { exportSet } from './export-set.ts';

const print = (line: string): void => console.log(line);

async function main(words: readonly string[]): Promise<void> {
  const options = parseCliOptions(words);
  if (options.help) {
    print(USAGE);
    return;
  }
  const set = await ensureGuest({ onProgress: print, guestUrl: options.guestUrl, update: options.update });
  if (options.check) {
    const { checkReproducible } = await import('./check-reproducible.ts');
    await checkReproducible(print);
  }
  if (options.exportTo !== null) {
    exportSet(set, options.exportTo);
    print(
      `The set is in ${options.exportTo}. Serve that folder from any web server, and use it with --guest-url; one that knows Range requests sends less, and goes on where a download broke off.`,
    );
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  // A GuestError is a sentence for the person at the terminal; anything else is a fault of ours and shows its place.
  if (error instanceof GuestError) console.error(`\n${error.message}`);
  else if (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) console.error(`${error.message}\n\n${USAGE}`);
  else console.error(error instanceof Error && error.stack === undefined ? error.message : error);
  process.exitCode = 1;
});
