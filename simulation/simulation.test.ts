import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readArguments } from './run/arguments.ts';
import { failureText } from './run/report.ts';
import { runSeed } from './run/seed.ts';
import type { SeedResult } from './run/seed.ts';

const SEEDS = Array.from({ length: 200 }, (_, index) => index + 1);

test('a seed replays to the same trace, line by line, and another seed does not', async () => {
  const first = await runSeed(7, { trace: true });
  const again = await runSeed(7, { trace: true });
  assert.deepEqual(again.lines, first.lines);
  assert.equal(again.hash, first.hash);
  assert.notEqual((await runSeed(8, { trace: false })).hash, first.hash);
});

test('two hundred clusters under fire break no rule, and get something done', async () => {
  const results: SeedResult[] = [];
  for (const seed of SEEDS) results.push(await runSeed(seed, { trace: false }));
  assert.deepEqual(
    results.flatMap(({ seed, violation }) => (violation === undefined ? [] : [{ seed, ...violation }])),
    [],
  );
  const runs = results.reduce((sum, result) => sum + result.runs, 0);
  assert.ok(runs > SEEDS.length * 5, `only ${runs} task runs`);
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
