import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { GuestError } from './guest-error.ts';

/** How much of a failed command's last words an error quotes. */
const QUOTED_BYTES = 2000;

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Written to the command's standard input. */
  readonly input?: string;
  /** Standard output goes to this file instead of the result. */
  readonly outputFile?: string;
}

export interface RunResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Commands print English and are also searched in the system's own folders (mke2fs is in /usr/sbin). */
function environment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`, ...extra };
}

/** Runs a command to its end, whatever its status. Rejects with GuestError('command-failed') only if it cannot start. */
export function tryCommand(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: options.cwd, env: environment(options.env ?? {}), stdio: 'pipe' });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const file = options.outputFile === undefined ? null : createWriteStream(options.outputFile);
    const fileDone = file === null ? Promise.resolve() : new Promise<void>((done, failed) => file.on('finish', () => done()).on('error', failed));
    if (file === null) child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
    else child.stdout.pipe(file);
    child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes));
    child.on('error', (error) => reject(new GuestError('command-failed', `${command} could not be started: ${error.message}`, { cause: error })));
    child.on('close', (status) => {
      fileDone.then(() => resolve({ status: status ?? 1, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }), reject);
    });
    // A command that ends early closes its input; its status tells why.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Runs a command; resolves with its standard output, rejects with GuestError('command-failed') quoting its last words. */
export async function runCommand(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await tryCommand(command, args, options);
  if (result.status !== 0) {
    const words = (result.stderr.trim() || result.stdout.trim()).slice(-QUOTED_BYTES);
    throw new GuestError('command-failed', `${command} ${args.slice(0, 3).join(' ')} ended with status ${result.status}: ${words}`);
  }
  return result.stdout;
}
