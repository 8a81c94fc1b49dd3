/**
 * `npm run model`: checks all states of the model of a migration with Spin (PROTOCOL.md, "The model"), and that Spin finds
 * each rule that is broken on purpose. Takes some minutes. Notes in model/checked.sha256 what was checked.
 *
 *   npm run model -- -DFAULTS=2 -DBREAK_MG27    one variant, with the run that violates it, step by step
 */
import { setChecked } from './model-digest.ts';
import { HOW_TO_GET_SPIN, missingPrograms, showRun, verifyModel } from './verify-model.ts';

const print = (line: string): void => console.log(line);
const defines = process.argv.slice(2);
const missing = missingPrograms();

if (missing.length > 0) {
  console.error(`The model cannot be checked: ${missing.join(' and ')} not found. ${HOW_TO_GET_SPIN}`);
  process.exitCode = 1;
} else if (defines.some((word) => !/^-D\w+(=\d+)?$/.test(word))) {
  console.error(`npm run model takes only definitions of the model, like -DFAULTS=1 or -DBREAK_MG27; not ${defines.join(' ')}.`);
  process.exitCode = 1;
} else if (defines.length > 0) {
  process.exitCode = (await showRun(defines, print)) ? 0 : 1;
} else {
  const { passed, failed } = await verifyModel(print);
  print(
    failed === 0 ? `\nThe model holds: ${passed} of ${passed} checks passed.` : `\nThe model does not hold: ${failed} of ${passed + failed} checks failed.`,
  );
  if (failed === 0) await setChecked();
  process.exitCode = failed === 0 ? 0 : 1;
}
