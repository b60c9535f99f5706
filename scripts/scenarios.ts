/**
 * `npm run scenarios -- [--trials N] [--seed S] [F1 … F5]`: the named scenarios for so many times as long as in the tests, one after the
 * other, and at the end a line for each: trials, faults injected, violations. The exit code tells whether all passed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const FOLDER = fileURLToPath(new URL('../e2e/reliability/', import.meta.url));

const { values, positionals } = parseArgs({
  options: { trials: { type: 'string', default: '10' }, seed: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const wanted = positionals.map((name) => `${name.toLowerCase()}-`);
const files = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => wanted.length === 0 || wanted.some((start) => name.startsWith(start)))
  .toSorted();
const whole = (text: string): boolean => /^[1-9][0-9]*$/.test(text);
if (files.length === 0 || !whole(values.trials) || !whole(values.seed)) {
  console.error('usage: npm run scenarios -- [--trials N] [--seed S] [F1 … F5]');
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'keelson-scenarios-'));
const results = join(folder, 'results');
const env = {
  ...process.env,
  KEELSON_SCENARIO_TRIALS: values.trials,
  KEELSON_SCENARIO_SEED: values.seed,
  KEELSON_SCENARIO_RESULTS: results,
};
const args = ['--test', '--test-concurrency=1', ...files.map((name) => join(FOLDER, name))];
const { status } = spawnSync(process.execPath, args, { env, stdio: 'inherit' });
try {
  console.log(readFileSync(results, 'utf8').trimEnd());
} catch {
  console.log('no scenario came to its end');
}
rmSync(folder, { recursive: true });
process.exitCode = status ?? 1;
