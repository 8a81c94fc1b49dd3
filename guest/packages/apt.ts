/**
 * Debian packages for another architecture than the machine's, through the machine's own package sources and keys, in an
 * apt state of our own: the machine's dpkg and its architectures are not touched, no mirror is named anywhere.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GuestError } from '../guest-error.ts';
import { tryCommand, type RunResult } from '../run-command.ts';
import { KERNEL_META_PACKAGE, PACKAGES } from './package-list.ts';

const ARCHITECTURE = 'i386';
/** Waits between attempts to fetch the package index: a mirror that is mid-sync settles within a minute or two. */
const INDEX_RETRY_MS = [2000, 5000, 15000, 30000, 60000];
/** With most of the index there, waiting for the rest is worth less. */
const PARTIAL_INDEX_RETRIES = 2;
const PROGRESS_MS = 500;
/** Of the machine's own settings, those about how to reach its mirrors (proxies, certificates) hold here too; hooks do not. */
const KEPT_SETTING = /^Acquire::(?!IndexTargets|CompressionTypes|Languages|Changelogs)\S+ ".*";$/;
const DOWNLOAD_ATTEMPTS = 4;
const DOWNLOAD_RETRY_MS = 3000;

export interface WantedPackage {
  readonly name: string;
  readonly version: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Source package and its version. */
  readonly source: string;
  readonly sourceVersion: string;
  /** Sources of other packages that are part of this one, e.g. `linux 6.1.176-1`. */
  readonly builtUsing: readonly string[];
}

export interface DownloadedPackage extends WantedPackage {
  readonly file: string;
}

export interface AptReport {
  (text: string, fraction?: number): void;
}

export type AptCommand = 'apt-get' | 'apt-cache' | 'apt-config';

/** What PrivateApt needs of the machine; tests give another. */
export interface AptMachine {
  /** Runs a command to its end: with apt's configuration from `configFile` if given, else the machine's own; in `folder` if given. */
  run(command: AptCommand, args: readonly string[], configFile?: string, folder?: string): Promise<RunResult>;
  sleep(ms: number): Promise<void>;
}

const thisMachine: AptMachine = {
  run: (command, args, configFile, folder) =>
    tryCommand(command, args, { ...(folder === undefined ? {} : { cwd: folder }), env: configFile === undefined ? {} : { APT_CONFIG: configFile } }),
  sleep: (ms) => new Promise((done) => setTimeout(done, ms)),
};

export class PrivateApt {
  private readonly folder: string;
  private readonly machine: AptMachine;
  private configured: Promise<string> | null = null;

  /** `folder` keeps the index and the downloaded packages between runs. */
  constructor(folder: string, machine: AptMachine = thisMachine) {
    this.folder = folder;
    this.machine = machine;
    mkdirSync(join(folder, 'state/lists/partial'), { recursive: true });
    mkdirSync(join(folder, 'cache/archives/partial'), { recursive: true });
    mkdirSync(join(folder, 'packages'), { recursive: true });
    if (!existsSync(join(folder, 'state/status'))) writeFileSync(join(folder, 'state/status'), '');
  }

  /**
   * Fetches the package index. Resolves with a warning when a part of it could not be had after all attempts but the
   * rest can be used; rejects with GuestError('package-index') when there is nothing to go by.
   */
  async update(report: AptReport): Promise<string | null> {
    let words = '';
    for (let attempt = 0; attempt <= INDEX_RETRY_MS.length; attempt++) {
      const result = await this.apt('apt-get', ['--quiet', 'update']);
      words = `${result.stderr}\n${result.stdout}`;
      const failures = words.split('\n').filter((line) => /^(E|W|Err):? ?/.test(line));
      if (result.status === 0 && !failures.some((line) => line.startsWith('E:') || line.includes('Some index files failed'))) return null;
      const wait = INDEX_RETRY_MS[attempt];
      if (wait === undefined || (attempt >= PARTIAL_INDEX_RETRIES && (await this.canGoOn()))) break;
      report(`the package index is incomplete (a mirror may be in the middle of an update); trying again in ${wait / 1000} s`);
      await this.machine.sleep(wait);
    }
    const failed = firstFailure(words);
    if (await this.canGoOn()) {
      return `A part of the package index could not be fetched (${failed}); the rest is used, so a package may be older than the newest. Run "npm run guest -- --update" later for the newest.`;
    }
    throw new GuestError(
      'package-index',
      `The package index could not be fetched: ${failed}. Check the network and /etc/apt, then run "npm run guest" again; or use a finished set with --guest-url.`,
    );
  }

  /** The packages to download, with the kernel's versioned name. Rejects with GuestError('no-i386-kernel'). */
  async resolve(): Promise<WantedPackage[]> {
    const kernel = await this.kernelPackage();
    const { stdout } = await this.apt('apt-cache', ['show', '--no-all-versions', kernel, ...PACKAGES]);
    const wanted = parsePackageRecords(stdout);
    for (const name of [kernel, ...PACKAGES]) {
      if (!wanted.some((entry) => entry.name === name)) {
        throw new GuestError(
          'package-index',
          `The package ${name} (${ARCHITECTURE}) is not in this machine's package sources. Use Debian 12, its container (guest/Dockerfile), or a finished set with --guest-url.`,
        );
      }
    }
    return wanted;
  }

  /** Downloads what is not there yet; apt checks each against the signed index. Packages are kept for later runs. */
  async download(wanted: readonly WantedPackage[], report: AptReport): Promise<DownloadedPackage[]> {
    const missing = wanted.filter((entry) => this.kept(entry) === null);
    if (missing.length > 1) await this.fetchTogether(missing, report);
    const downloaded: DownloadedPackage[] = [];
    for (const entry of wanted) downloaded.push({ ...entry, file: this.kept(entry) ?? (await this.fetch(entry, report)) });
    return downloaded;
  }

  /** One call for all, which is quicker; what fails is tried again one by one. */
  private async fetchTogether(wanted: readonly WantedPackage[], report: AptReport): Promise<void> {
    const folder = join(this.folder, 'packages');
    const total = wanted.reduce((sum, entry) => sum + entry.bytes, 0);
    const before = folderBytes(folder);
    const showing = setInterval(() => {
      const fraction = Math.min(1, (folderBytes(folder) - before) / total);
      report(`${wanted.length} packages, ${(total / 1e6).toFixed(0)} MB`, fraction);
    }, PROGRESS_MS);
    try {
      await this.apt('apt-get', ['--quiet', 'download', ...wanted.map((entry) => `${entry.name}=${entry.version}`)], folder);
    } finally {
      clearInterval(showing);
    }
  }

  private async fetch(entry: WantedPackage, report: AptReport): Promise<string> {
    const folder = join(this.folder, 'packages');
    let words = '';
    for (let attempt = 1; attempt <= DOWNLOAD_ATTEMPTS; attempt++) {
      const result = await this.apt('apt-get', ['--quiet', 'download', `${entry.name}=${entry.version}`], folder);
      const file = this.kept(entry);
      if (result.status === 0 && file !== null) return file;
      words = result.stderr;
      if (attempt === DOWNLOAD_ATTEMPTS) break;
      report(`${entry.name} did not come through; trying again`);
      await this.machine.sleep(DOWNLOAD_RETRY_MS * attempt);
      // The index may have been deleted, or be older than the mirror.
      if (attempt === 1) await this.apt('apt-get', ['--quiet', 'update']);
    }
    throw new GuestError(
      'package-download',
      `The package ${entry.name} ${entry.version} could not be downloaded: ${firstFailure(words)}. What is finished is kept: run "npm run guest" again; if the version is gone from the mirror, "npm run guest -- --update".`,
    );
  }

  /** A package that was downloaded earlier and is whole, or null. */
  private kept(entry: WantedPackage): string | null {
    const folder = join(this.folder, 'packages');
    for (const name of readdirSync(folder)) {
      if (!name.startsWith(`${entry.name}_`) || !name.endsWith('.deb')) continue;
      const bytes = readFileSync(join(folder, name));
      if (bytes.length === entry.bytes && createHash('sha256').update(bytes).digest('hex') === entry.sha256) return join(folder, name);
    }
    return null;
  }

  private async kernelPackage(): Promise<string> {
    const result = await this.apt('apt-cache', ['depends', '--important', KERNEL_META_PACKAGE]);
    const name = /Depends: (linux-image-\S+-686)$/m.exec(result.stdout)?.[1];
    if (name === undefined) {
      throw new GuestError(
        'no-i386-kernel',
        `This machine's package sources have no ${ARCHITECTURE} kernel (${KERNEL_META_PACKAGE}); Debian carries it up to release 12. Use the container recipe (guest/Dockerfile), or a finished set made elsewhere: npm run guest -- --guest-url URL.`,
      );
    }
    return name;
  }

  /** What there is of the index names a kernel and a busybox. */
  private async canGoOn(): Promise<boolean> {
    const { stdout } = await this.apt('apt-cache', ['show', KERNEL_META_PACKAGE, 'busybox-static']);
    return [KERNEL_META_PACKAGE, 'busybox-static'].every((name) => stdout.includes(`Package: ${name}\n`));
  }

  private async apt(command: AptCommand, args: readonly string[], folder?: string): Promise<RunResult> {
    this.configured ??= this.configure();
    return this.machine.run(command, args, await this.configured, folder);
  }

  /** Writes the configuration of our own apt state and resolves with its file. */
  private async configure(): Promise<string> {
    const { stdout } = await this.machine.run('apt-config', ['dump']);
    const settings = {
      'Dir::Etc::main': '/dev/null',
      'Dir::Etc::parts': '/dev/null',
      'Dir::State': join(this.folder, 'state'),
      'Dir::State::status': join(this.folder, 'state/status'),
      'Dir::Cache': join(this.folder, 'cache'),
      'APT::Architecture': ARCHITECTURE,
      'APT::Architectures::': ARCHITECTURE,
      'APT::Sandbox::User': 'root',
      'Acquire::Languages': 'none',
      'Acquire::Retries': '3',
    };
    const lines = [...stdout.split('\n').filter((line) => KEPT_SETTING.test(line)), ...Object.entries(settings).map(([name, value]) => `${name} "${value}";`)];
    const file = join(this.folder, 'apt.conf');
    writeFileSync(file, `${lines.join('\n')}\n`);
    return file;
  }
}

function folderBytes(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

/** Records of `apt-cache show`; of several with the same name the first (newest) counts. */
export function parsePackageRecords(output: string): WantedPackage[] {
  const found = new Map<string, WantedPackage>();
  for (const record of output.split(/\n\n+/)) {
    const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(record)?.[1]?.trim();
    const name = field('Package');
    const version = field('Version');
    const sha256 = field('SHA256');
    const bytes = Number(field('Size'));
    if (name === undefined || version === undefined || sha256 === undefined || !Number.isInteger(bytes) || found.has(name)) continue;
    // "Source: linux-signed-i386 (6.1.176+1)" names a version only where it differs from the package's own.
    const source = /^(\S+)(?: \((.+)\))?$/.exec(field('Source') ?? name);
    const builtUsing = (field('Built-Using') ?? '')
      .split(/,\s*/)
      .filter((entry) => entry !== '')
      .map((entry) => entry.replace(/ \(= (.*)\)/, ' $1'));
    found.set(name, { name, version, bytes, sha256, source: source?.[1] ?? name, sourceVersion: source?.[2] ?? version, builtUsing });
  }
  return [...found.values()];
}

/** The first line that names a failure, without the mirror's address. */
function firstFailure(words: string): string {
  const line = words.split('\n').find((text) => /^(E:|Err:)/.test(text)) ?? words.trim().split('\n')[0] ?? '';
  return (
    line
      .replace(/^(E:|Err:\d*) */, '')
      .replace(/https?:\/\/\S*\/(dists|pool)\//, '$1/')
      .replace(/ \[IP: [^\]]*\]/, '')
      .slice(0, 300) || 'no reason given'
  );
}
