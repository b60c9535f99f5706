import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parse } from 'acorn';
import { awaitSites, markAwaits } from './awaits.ts';
import { plantEnvironment } from './failpoint.ts';
import type { FailpointOrders } from './failpoint.ts';
import { patchedSources } from './install.ts';
import { ROOT, applyPatch, readSource } from './plant.ts';
import { PLANTS } from './table.ts';

const REGISTER = fileURLToPath(new URL('./register.ts', import.meta.url));
const STARTS = 'packages/store/src/postgres/engine/starts.ts';

function assertParses(source: string, what: string): void {
  assert.doesNotThrow(
    () => parse(stripTypeScriptTypes(source), { ecmaVersion: 'latest', sourceType: 'module' }),
    `${what} does not parse`,
  );
}

for (const plant of PLANTS) {
  test(`plant ${plant.name}: each of its texts is in the source once, and the patched source parses`, () => {
    assert.match(plant.name, /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    for (const [path, source] of patchedSources([plant])) {
      assertParses(source, `${path} with ${plant.name}`);
      assert.notEqual(source, readFileSync(path, 'utf8'));
    }
  });
}

test('no two plants have the same name', () => {
  assert.equal(new Set(PLANTS.map(({ name }) => name)).size, PLANTS.length);
});

test('a patch whose text is missing or there twice is refused', () => {
  assert.throws(() => applyPatch('a b a', { file: 'f', find: 'a', replace: 'c' }), /there 2 times/);
  assert.throws(() => applyPatch('a b a', { file: 'f', find: 'x', replace: 'c' }), /there 0 times/);
  assert.equal(applyPatch('a b a', { file: 'f', find: 'b', replace: '$&' }), 'a $& a');
});

test('every await gets a name and stays the expression that it was', () => {
  const source = `
    const one = async (x: number): Promise<number> => x + await two(await three(x));
    async function main() { return (await one(1)) || await one(2) ? 3 : await one(4); }`;
  const names = awaitSites('f.ts', source).map(({ name }) => name);
  assert.deepEqual(names, ['f.ts:one:1', 'f.ts:one:2', 'f.ts:main:1', 'f.ts:main:2', 'f.ts:main:3']);
  const marked = markAwaits('f.ts', source);
  assertParses(marked, 'the marked source');
  assert.match(marked, /x \+ \(globalThis\.keelsonFailpoint\?\.\("await:f\.ts:one:1"\), await two\(/);
});

test('the awaits of the files that the scenarios mark can be marked', () => {
  for (const file of [STARTS, 'packages/server/src/master/claims.ts'])
    assertParses(markAwaits(file, readSource(file)), file);
});

test('a process that is started with the register module runs the patched source', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-plants-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const journal = join(folder, 'journal');
  const orders: FailpointOrders = { journal, points: [{ at: `await:${STARTS}:*`, fault: 'note' }] };
  const script = `
    const { createStarts } = await import(${JSON.stringify(pathToFileURL(ROOT + STARTS).href)});
    const never = { run: () => new Promise(() => undefined) };
    const starts = createStarts(never, async () => '7');
    console.log(JSON.stringify(await starts.start({ params: {}, workflowId: '1' })));
    process.exit(0);`;
  const run = (plants: readonly string[]) =>
    spawnSync(process.execPath, ['--import', REGISTER, '--input-type=module', '-e', script], {
      env: { PATH: process.env['PATH'], ...plantEnvironment(plants, orders) },
      encoding: 'utf8',
    });
  const { stdout, stderr } = run(['start-answered-before-its-commit']);
  assert.equal(stdout, '{"kind":"created","instanceId":"7"}\n', stderr);
  assert.match(readFileSync(journal, 'utf8'), new RegExp(`^\\d+ await:${STARTS}:start:1 note$`, 'm'));
  const unknown = run(['no-such-plant']);
  assert.notEqual(unknown.status, 0);
  assert.match(unknown.stderr, /there is no plant no-such-plant; there are: .*start-answered-before-its-commit/);
});
