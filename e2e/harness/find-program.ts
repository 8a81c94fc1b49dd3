import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Wanted {
  /** The environment variable that names the program's file, before anything is searched. */
  readonly variable: string;
  /** Its names along PATH, best first. */
  readonly names: readonly string[];
  /** Files elsewhere. */
  readonly places: readonly string[];
}

/** The path of an installed program, or null. Throws if the variable names something that cannot be run. */
export function findProgram(
  { variable, names, places }: Wanted,
  environment: Readonly<Record<string, string | undefined>> = process.env,
  runs: (path: string) => boolean = isProgram,
): string | null {
  const told = environment[variable];
  if (told !== undefined && told !== '') {
    if (runs(told)) return told;
    throw new Error(`${variable} names ${told}, which is no program that can be run.`);
  }
  const folders = (environment['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...folders.flatMap((folder) => names.map((name) => join(folder, name))), ...places].find(runs) ?? null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
