import assert from 'node:assert/strict';
import { rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { parseDefinition } from '@keelson/core';
import { taskTypes } from '@keelson/tasks';
import { testFolder } from '../testing/folder.ts';
import { bundleModules } from './bundle-modules.ts';

function definition(modules: Readonly<Record<string, string>>) {
  const tasks = Object.fromEntries(
    Object.entries(modules).map(([id, module]) => [id, { uses: 'node', with: { module } }]),
  );
  const { definition: read, issues } = parseDefinition(JSON.stringify({ name: 'a', tasks }), { taskTypes });
  assert.ok(read !== undefined, JSON.stringify(issues));
  return read;
}

async function bundle(
  context: TestContext,
  files: Readonly<Record<string, string>>,
  modules: Readonly<Record<string, string>>,
) {
  const folder = await testFolder(context, files);
  return { folder, ...(await bundleModules(folder, definition(modules), taskTypes)) };
}

const PACKAGE = {
  'node_modules/left/package.json': '{"name":"left","version":"1.0.0","main":"index.js"}',
  'node_modules/left/index.js': 'const { sep } = require("node:path"); module.exports = (text) => text + sep;',
};

test('a module is bundled with what it imports, and runs', async (context) => {
  const { folder, contents, issues } = await bundle(
    context,
    {
      ...PACKAGE,
      'lib/add.ts': 'export const add = (a: number, b: number): number => a + b;',
      'clean.ts':
        "import left from 'left';\nimport { add } from './lib/add.ts';\nexport default ({ args }: { args: { n: number } }) => ({ sum: add(args.n, 1), text: left('x') });",
    },
    { clean: './clean.ts' },
  );
  assert.deepEqual(issues, []);
  const [content] = contents;
  assert.equal(content?.file.path, '.keelson/modules/clean.ts.mjs');
  assert.ok(content.source.kind === 'bytes');
  const file = join(folder, 'bundle.mjs');
  await rm(join(folder, 'node_modules'), { recursive: true });
  await writeFile(file, content.source.bytes);
  const module = (await import(pathToFileURL(file).href)) as { default: (input: unknown) => unknown };
  assert.deepEqual(module.default({ args: { n: 2 } }), { sum: 3, text: 'x/' });
});

test('the same sources give the same octets in another folder, and a task named twice is bundled once', async (context) => {
  const files = { ...PACKAGE, 'a.ts': "import left from 'left'; export default () => left('a');" };
  const one = await bundle(context, files, { x: 'a.ts', y: './a.ts' });
  const other = await bundle(context, files, { x: './a.ts' });
  assert.notEqual(one.folder, other.folder);
  assert.deepEqual(
    one.contents.map(({ file }) => file),
    other.contents.map(({ file }) => file),
  );
  assert.equal(one.contents.length, 1);
  const changed = await bundle(context, { ...files, 'a.ts': 'export default () => 2;' }, { x: './a.ts' });
  assert.notEqual(changed.contents[0]?.file.sha256, one.contents[0]?.file.sha256);
});

test('what does not build is shown with its place', async (context) => {
  const { folder, contents, issues } = await bundle(
    context,
    {
      'a.ts': "import x from 'not-installed';\nexport default () => x;",
      'b.ts': 'export default () => {\n  return 1 +;\n};',
    },
    { a: './a.ts', b: './b.ts' },
  );
  assert.deepEqual(contents, []);
  assert.deepEqual(
    issues.map(({ severity, code, path, file, line, column }) => [severity, code, path, file, line, column]),
    [
      ['error', 'bundle-failed', 'tasks.a.with.module', join(folder, 'a.ts'), 1, 15],
      ['error', 'bundle-failed', 'tasks.b.with.module', join(folder, 'b.ts'), 2, 13],
    ],
  );
  assert.match(issues[0]?.message ?? '', /Could not resolve "not-installed"/);
});

test('a module that is missing, exports nothing by default, or is a link is refused', async (context) => {
  const folder = await testFolder(context, { 'named.ts': 'export const a = 1;', 'real.ts': 'export default 1;' });
  await symlink('real.ts', join(folder, 'link.ts'));
  const { contents, issues } = await bundleModules(
    folder,
    definition({ a: './none.ts', b: './named.ts', c: './link.ts' }),
    taskTypes,
  );
  assert.deepEqual(contents, []);
  assert.deepEqual(
    issues.map(({ code, path }) => [code, path]),
    [
      ['missing-file', 'tasks.a.with.module'],
      ['no-default-export', 'tasks.b.with.module'],
      ['link-refused', 'tasks.c.with.module'],
    ],
  );
});
