import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readArguments } from './run/arguments.ts';
import { failureText } from './run/report.ts';
import { runSeed } from './run/seed.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const run = promisify(execFile);
const SEEDS = 300;

/** What a process has said that ended with an error. */
const outputOf = (error: { readonly stdout: string }): { stdout: string } => error;

test('a seed replays to the same trace, line by line, and another seed does not', async () => {
  const first = await runSeed(7, { trace: true });
  const again = await runSeed(7, { trace: true });
  assert.deepEqual(again.lines, first.lines);
  assert.equal(again.hash, first.hash);
  assert.notEqual((await runSeed(8, { trace: false })).hash, first.hash);
});

test('three hundred clusters under fire break no rule, and get something done', async (t) => {
  // In a process of its own: the test runner follows every promise, which makes a simulation four times as slow.
  const { stdout } = await run(process.execPath, [MAIN, '--seeds', `1..${SEEDS}`]).catch(outputOf);
  t.diagnostic(stdout.trim());
  assert.doesNotMatch(stdout, /broken$/m);
  const [, runs] = /seeds clean: \d+ instances, (\d+) task runs/.exec(stdout) ?? assert.fail(stdout);
  assert.ok(Number(runs) > SEEDS * 5, `only ${runs} task runs`);
});

test('a broken seed says which rule, shows the lines about its instance, and how to replay it', async () => {
  const result = await runSeed(3, { trace: true });
  const violation = { rule: 'everything-ends', message: 'it does not', instanceId: '1', at: 1234 };
  const text = failureText({ ...result, violation }, 'some-plant');
  assert.match(
    text,
    /^seed 3 breaks everything-ends \(instance 1\) after 1\.234 simulated seconds:\n {2}it does not\n/,
  );
  assert.match(text, /npm run simulate -- --seeds 3\.\.3 --plant some-plant --trace$/);
});

test('the command line is read, and what it does not mean is refused', () => {
  assert.deepEqual(readArguments(['--seeds', '5..9', '--jobs', '2']).seeds, { first: 5, last: 9 });
  assert.deepEqual(readArguments(['--seeds', '5']).seeds, { first: 5, last: 5 });
  assert.throws(() => readArguments(['--seeds', 'all']), /--seeds takes A\.\.B/);
  assert.throws(() => readArguments(['--what']), /what/);
});
