import { findProgram } from './find-program.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome.exe', 'msedge.exe'];
const PLACES = [
  '/usr/bin/chromium',
  '/snap/bin/chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

const HOW_TO_GET_CHROMIUM =
  'No Chromium was found. Debian and Ubuntu: apt-get install chromium. Elsewhere: install Chrome, or set CHROME_PATH to the program file of a Chromium.';

/** The path of a Chromium: CHROME_PATH, then PATH, then the usual places. Throws with the way to get one. */
export function findChromium(environment?: Readonly<Record<string, string | undefined>>, runs?: (path: string) => boolean): string {
  const found = findProgram({ variable: 'CHROME_PATH', names: NAMES, places: PLACES }, environment, runs);
  if (found === null) throw new Error(HOW_TO_GET_CHROMIUM);
  return found;
}
