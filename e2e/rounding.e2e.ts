/** F3: a program that has set rounding and precision once computes the same wherever its PC moves. */
import { compileProgram } from '../src/emulator-bridge/testing/bare-metal.ts';
import { FULL } from '../src/shared/testing/full.ts';
import { pollFor } from './harness/poll-for.ts';
import { expect, test } from './harness/test.ts';

const MOVES = FULL ? 4 : 2;
/** Control words by the arguments of the program; emulator-bridge/x87-control.test.ts moves all four in Node. */
const ALL_WORDS = [
  ['downward', ''],
  ['upward', 'x'],
  ['53 bits', 'x x'],
  ['24 bits', 'x x x'],
] as const;
const WORDS = FULL ? ALL_WORDS : [ALL_WORDS[0], ALL_WORDS[3]];
/** The program prints one line for this many divisions. */
const DIVISIONS_PER_LINE = 50_000;
/** Divisions for each control word. */
const DIVISIONS = FULL ? 5_000_000 : 200_000;

test('the x87 rounding and precision that a program has set hold over every move', async ({ openHost }) => {
  test.setTimeout(FULL ? 900_000 : 400_000);
  const [a, b] = [await openHost(), await openHost()];
  const { id: vmId } = await a.runningVm();
  await a.waitForPrompt(vmId);
  await b.waitForGuest();
  await a.run(vmId, `echo ${compileProgram('rounding.S').toString('base64')} | base64 -d > /tmp/rounding; chmod 755 /tmp/rounding`);
  let [here, there] = [a, b];
  for (const [what, words] of WORDS) {
    await here.run(vmId, `/tmp/rounding ${words} > /tmp/results &`);
    await pollFor('the first results', async () => (await here.run(vmId, 'head -n 1 /tmp/results')).output === 'right');
    for (let move = 1; move <= MOVES; move++) {
      const report = await here.migrate(vmId, await there.id(), { verify: true });
      expect(report, `${what}, move ${move}`).toMatchObject({ outcome: 'completed' });
      [here, there] = [there, here];
    }
    await pollFor(
      `${DIVISIONS} divisions, ${what}`,
      async () => {
        const { output } = await here.run(vmId, 'sort /tmp/results | uniq -c');
        expect(output).not.toContain('wrong');
        return Number(/^\s*(\d+) right$/.exec(output)?.[1]) * DIVISIONS_PER_LINE >= DIVISIONS;
      },
      120_000,
    );
    await here.run(vmId, 'killall rounding');
  }
});
