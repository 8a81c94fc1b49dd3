import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome.exe', 'msedge.exe'];
const PLACES = [
  '/usr/bin/chromium',
  '/snap/bin/chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

export const HOW_TO_GET_CHROMIUM =
  'No Chromium was found. Debian and Ubuntu: apt-get install chromium. Elsewhere: install Chrome, or set CHROME_PATH to the program file of a Chromium.';

/** The path of a Chromium: CHROME_PATH, then PATH, then the usual places. Throws with the way to get one. */
export function findChromium(environment: Readonly<Record<string, string | undefined>> = process.env, runs: (path: string) => boolean = isProgram): string {
  const told = environment['CHROME_PATH'];
  if (told !== undefined && told !== '') {
    if (runs(told)) return told;
    throw new Error(`CHROME_PATH names ${told}, which is no program that can be run.`);
  }
  const folders = (environment['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const found = [...folders.flatMap((folder) => NAMES.map((name) => join(folder, name))), ...PLACES].find(runs);
  if (found === undefined) throw new Error(HOW_TO_GET_CHROMIUM);
  return found;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
