/**
 * The model of a migration (model/handover.pml; PROTOCOL.md, "The model") and what must come of checking it: properties
 * that hold in every run, and rules that, when broken, cost one of them. Runs Spin, gcc and the checker they make.
 */
import { execFile, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Counts } from './count-results.ts';
import { readPan, type PanReport } from './model-report.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MODEL = `${ROOT}model/handover.pml`;
const BUILD = `${ROOT}.cache/model`;

/** The longest run has under a hundred steps; a search that goes deeper than this is an error, not a deeper search. */
const MAX_DEPTH = 10_000;
/** Ten times what is needed: a checker that wants more has lost its bounds. */
const MAX_MEGABYTES = 2000;
const RUN_LIMIT_MS = 15 * 60_000;
/** So many sockets, links and hosts may break in one run; the witness needs only one. */
const FAULTS = 2;
const WITNESS_FAULTS = 1;

const PROPERTIES: readonly { readonly name: string; readonly means: string }[] = [
  { name: 'I1_one_host_reaches_the_world', means: "a frame that goes out is the lease holder's" },
  { name: 'I1_one_host_runs', means: "no two hosts run at the lease's epoch, none without the lease" },
  { name: 'I2_a_sign_of_life_is_final', means: 'what the world has seen is never undone' },
  { name: 'I2_the_VM_is_where_its_lease_is', means: "at the end the VM runs at the lease's holder" },
  { name: 'I4_no_frame_is_cut_off', means: 'the lease does not move past a frame that the source has sent' },
  { name: 'I5_both_sides_tell_the_truth', means: '`completed` if and only if the VM has moved' },
  { name: 'every_run_ends', means: 'nobody waits for ever' },
];

/** Words after BREAK_ in the model. */
const BROKEN_RULES: readonly { readonly rule: string; readonly how: string; readonly costs: string }[] = [
  { rule: 'MG19', how: 'a commit does not wait for drained', costs: 'I4_no_frame_is_cut_off' },
  { rule: 'MG21', how: 'a commit does not compare the lease', costs: 'I1_one_host_runs' },
  { rule: 'MG23', how: 'the source discards its copy at `running`', costs: 'I2_the_VM_is_where_its_lease_is' },
  { rule: 'MG26', how: 'an abort does not compare the lease', costs: 'I1_one_host_runs' },
  { rule: 'MG27', how: 'a timer of the source resumes the VM', costs: 'I1_one_host_runs' },
  { rule: 'MG28', how: 'the relay never gives back', costs: 'every_run_ends' },
  { rule: 'MG28_EPOCH', how: 'a give-back keeps the epoch', costs: 'I1_one_host_runs' },
  { rule: 'MG29', how: 'a target unsure of its commit runs', costs: 'I1_one_host_runs' },
  { rule: 'MG29_LINK', how: 'a target that runs gives up with its link', costs: 'I2_the_VM_is_where_its_lease_is' },
  { rule: 'NR8', how: 'a stale epoch is attached', costs: 'I1_one_host_runs' },
  { rule: 'NR9', how: "a stale epoch's frames pass", costs: 'I1_one_host_reaches_the_world' },
  { rule: 'NR12', how: 'a frame is no sign of life', costs: 'I2_a_sign_of_life_is_final' },
  { rule: 'NR12_SOURCE', how: 'an outcome without `alive` is the end', costs: 'I2_the_VM_is_where_its_lease_is' },
  { rule: 'NR13', how: 'a sign of life does not stop the give-back', costs: 'I2_a_sign_of_life_is_final' },
  { rule: 'NR13_TOLD', how: 'a give-back whose outcome was lost is not noticed', costs: 'every_run_ends' },
  { rule: 'NR15', how: 'requests are not repeated', costs: 'every_run_ends' },
  { rule: 'NR16', how: "a commit does not outlive the relay's restart", costs: 'I1_one_host_runs' },
  { rule: 'NR25', how: 'a commit is granted that could not be stored', costs: 'I1_one_host_runs' },
  { rule: 'NR25_LIFE', how: 'a frame goes out whose sign of life is not stored', costs: 'I2_a_sign_of_life_is_final' },
];

export const HOW_TO_GET_SPIN = 'Debian and Ubuntu: apt-get install spin gcc. Elsewhere: https://spinroot.com, and a C compiler called gcc.';

/** The programs that are missing; none: the model can be checked. */
export function missingPrograms(): string[] {
  return [
    ['spin', '-V'],
    ['gcc', '--version'],
  ]
    .filter(([program = '', option = '']) => spawnSync(program, [option], { stdio: 'ignore' }).error !== undefined)
    .map(([program = '']) => program);
}

/** Checks everything and prints it as tables. Throws if Spin or gcc cannot take the model in. */
export async function verifyModel(print: (line: string) => void): Promise<Counts> {
  let passed = 0;
  let failed = 0;
  const count = (good: boolean): string => {
    if (good) passed++;
    else failed++;
    return good ? 'ok' : 'FAILED';
  };
  mkdirSync(BUILD, { recursive: true });

  print(`Every run with up to ${FAULTS} faults, all states explored:`);
  print(row('property', 'states', 'depth', 'seconds', 'MB', ''));
  const safety = await check([`-DFAULTS=${FAULTS}`], 'safety');
  for (const { name, means } of PROPERTIES) {
    print(`${row(name, ...figures(safety), count(isProved(safety)))}  ${means}`);
  }
  const loops = await check([`-DFAULTS=${FAULTS}`], 'loops');
  print(`${row('no_run_goes_in_circles', ...figures(loops), count(isProved(loops)))}  no state comes twice in one run`);
  const witness = await check([`-DFAULTS=${WITNESS_FAULTS}`, '-DWITNESS'], 'safety');
  const unseen = witness.unreached.filter((statement) => statement.startsWith('Witness: '));
  print(
    `${row('nothing_is_proved_in_vain', ...figures(witness), count(isProved(witness) && unseen.length === 0))}  every state and every kind of end is reached`,
  );
  for (const [name, report] of Object.entries({ safety, loops, witness })) {
    if (report.errors > 0)
      print(
        `  ${name}: does not hold: ${report.violated ?? 'see pan'}. The run that shows it: ${replay(name === 'witness' ? ['-DFAULTS=1', '-DWITNESS'] : [`-DFAULTS=${FAULTS}`])}`,
      );
    for (const said of report.incomplete) print(`  ${name}: not all states were explored: ${said}`);
  }
  for (const statement of unseen) print(`  never seen: ${witnessed(statement)}`);

  print('\nRules broken on purpose; each must cost a property:');
  for (const { rule, how, costs } of BROKEN_RULES) {
    const report = await check([`-DFAULTS=${FAULTS}`, `-DBREAK_${rule}`], 'safety', 'soon over');
    const found = report.violated ?? 'nothing';
    const verdict = count(report.violated === costs);
    print(`${rule.padEnd(13)}${how.padEnd(54)}${verdict.padEnd(8)}${found}${found === costs ? '' : ` (expected: ${costs})`}`);
  }
  return { passed, failed, skipped: 0 };
}

/** What a person runs to see a counterexample step by step, in `.cache/model`. */
function replay(defines: readonly string[]): string {
  return `npm run model -- ${defines.join(' ')}`;
}

/** Checks one variant of the model and prints the run that violates it, if there is one. For `npm run model -- -DBREAK_MG27`. */
export async function showRun(defines: readonly string[], print: (line: string) => void): Promise<boolean> {
  mkdirSync(BUILD, { recursive: true });
  const report = await check(defines, 'safety');
  print(row('variant', 'states', 'depth', 'seconds', 'MB', ''));
  print(row(defines.join(' '), ...figures(report), report.errors > 0 ? 'violated' : 'holds'));
  if (report.errors === 0) return isProved(report);
  print(`\nDoes not hold: ${report.violated ?? 'see pan'}. The run, step by step:\n`);
  const trail = spawnSync('spin', [...defines, '-t', '-p', 'handover.pml'], { cwd: BUILD, encoding: 'utf8', maxBuffer: 64e6 });
  const quiet = /goto\]|goto\)\]|sub-sequence|\[IF\]|\[DO\]|nfull|\[\(1\)\]|valid end state/;
  for (const line of trail.stdout.split('\n')) if (/^\s*\d+:/.test(line) && !quiet.test(line)) print(line.trimEnd());
  return false;
}

function isProved(report: PanReport): boolean {
  return report.errors === 0 && report.incomplete.length === 0;
}

/**
 * `safety`: assertions, in every state; `loops`: whether a run can come to a state twice. A search that is `soon over`,
 * at the first violation, takes less time than the compiler's optimizations.
 */
async function check(defines: readonly string[], what: 'safety' | 'loops', length: 'long' | 'soon over' = 'long'): Promise<PanReport> {
  rmSync(BUILD, { recursive: true, force: true });
  mkdirSync(BUILD, { recursive: true });
  copyFileSync(MODEL, `${BUILD}/handover.pml`);
  await run('spin', [...defines, '-a', 'handover.pml']);
  const optimization = length === 'long' ? '-O2' : '-O0';
  await run('gcc', [optimization, '-w', '-DCOLLAPSE', `-DMEMLIM=${MAX_MEGABYTES}`, what === 'safety' ? '-DSAFETY' : '-DNP', '-DNOFAIR', '-o', 'pan', 'pan.c']);
  const output = await run('./pan', [`-m${MAX_DEPTH}`, ...(what === 'loops' ? ['-l'] : [])]);
  const report = readPan(output);
  if (report === null) throw new Error(`The checker of ${defines.join(' ')} did not finish:\n${output.slice(-2000)}`);
  return report;
}

function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd: BUILD, encoding: 'utf8', timeout: RUN_LIMIT_MS, maxBuffer: 64e6 }, (error, stdout, stderr) => {
      const printed = `${stdout}\n${stderr}`;
      if (error === null || (program === './pan' && typeof error.code === 'number')) resolve(printed);
      else if (typeof error.code === 'number') reject(new Error(`${program} ${args.join(' ')} ended with status ${error.code}:\n${printed}`));
      else reject(new Error(`${program} could not be run to its end: ${error.message}. ${HOW_TO_GET_SPIN}`));
    });
  });
}

/** The condition behind a number of the model's witness. */
function witnessed(statement: string): string {
  const assignment = statement.replace('Witness: ', '');
  const line = readFileSync(MODEL, 'utf8')
    .split('\n')
    .find((one) => one.endsWith(`-> ${assignment}`));
  return line?.trim() ?? assignment;
}

function figures({ states, depth, seconds, megabytes }: PanReport): [string, string, string, string] {
  return [String(states), String(depth), seconds.toFixed(1), megabytes.toFixed(0)];
}

function row(name: string, states: string, depth: string, seconds: string, megabytes: string, verdict: string): string {
  return `${name.padEnd(34)}${states.padStart(9)}${depth.padStart(7)}${seconds.padStart(9)}${megabytes.padStart(6)}  ${verdict.padEnd(8)}`.trimEnd();
}
