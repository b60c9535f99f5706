import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crossings, impurities } from './boundaries.ts';
import { badHabits } from './habits.ts';
import { parseSourceFile } from './source-files.ts';

/** What the checks say of files given as [path, text]. */
function complaints(...given: [string, string][]): string[] {
  const files = given.map(([path, text]) => parseSourceFile(path, text));
  return [...crossings(files), ...impurities(files), ...badHabits(files)].map((each) => `${each.path}:${each.line}`);
}

const forbidden: [string, string][] = [
  ['packages/core/src/a.ts', "import { x } from '@keelson/protocol';"],
  ['packages/core/src/a.ts', "import type { x } from '../../store/src/index.ts';"],
  ['packages/core/src/a.ts', "import { readFile } from 'node:fs';"],
  ['packages/core/src/a.ts', "import fs from 'fs';"],
  ['packages/core/src/a.ts', "const fs = await import('node:fs');"],
  ['packages/tasks/src/shell/schema.ts', "import { join } from 'node:path';"],
  ['packages/tasks/src/shell/run.ts', "import { x } from '@keelson/store';"],
  ['packages/worker/src/a.ts', "import { x } from '@keelson/store/embedded';"],
  ['packages/tasks/src/sql/a.test.ts', "import { x } from '@keelson/store';"],
  ['packages/tasks/src/sql/run.ts', "import { x } from '@keelson/store/testing';"],
  ['packages/sdk/src/a.ts', "export { x } from '@keelson/store';"],
  ['packages/cli/src/a.ts', "import {\n  x,\n} from '@keelson/store';"],
  ['packages/console/src/a.ts', "import '@keelson/store';"],
  ['packages/store/src/a.ts', "import { x } from '@keelson/protocol';"],
  ['packages/protocol/src/a.ts', "import { x } from '@keelson/server';"],
  ['packages/server/src/api/a.ts', "import { x } from '../master/b.ts';"],
  ['packages/server/src/master/a.ts', "import { x } from '../alert/b.ts';"],
  ['packages/server/src/alert/deep/a.ts', "import { x } from '../../api/b.ts';"],
  ['packages/server/src/api/a.ts', "import { x } from '../dev/b.ts';"],
  ['packages/protocol/src/a.ts', "import { x } from '../../tasks/src/shell/run.ts';"],
  ['packages/core/src/utils.ts', ''],
  ['packages/core/src/graph/types.ts', ''],
  ['packages/core/src/graph/index.ts', ''],
  ['packages/core/src/a.ts', 'x\n'.repeat(501)],
  ['docs/a.md', 'see /home/someone/keelson'],
  ['packages/core/src/a.ts', '// TODO later'],
];

for (const [path, text] of forbidden) {
  test(`refused: ${path} with ${JSON.stringify(text.slice(0, 50))}`, () => {
    assert.equal(complaints([path, text]).length, 1);
  });
}

test('allowed: what the architecture wants', () => {
  const allowed: [string, string][] = [
    ['packages/core/src/index.ts', "export * from './a.ts';\nimport { parse } from 'yaml';"],
    ['packages/tasks/src/sql/a.test.ts', "import { testDatabase } from '@keelson/store/testing';"],
    ['packages/core/src/a.test.ts', "import { test } from 'node:test';"],
    ['packages/server/src/api/a.ts', "import { x } from '@keelson/store';\nimport { y } from '@keelson/core';"],
    ['packages/server/src/dev/a.ts', "import { x } from '../api/b.ts';\nimport { y } from '../master/b.ts';"],
    ['packages/tasks/src/shell/run.ts', "import { spawn } from 'node:child_process';"],
    ['packages/cli/src/a.ts', "import { x } from '@keelson/server';\nexport const name = 'keelson';"],
    ['packages/core/src/b.ts', 'x\n'.repeat(500)],
  ];
  assert.deepEqual(complaints(...allowed), []);
});

test('a Node module behind another file is found', () => {
  const schema: [string, string] = ['packages/tasks/src/http/schema.ts', "import { x } from '../shared.ts';"];
  const between: [string, string] = ['packages/tasks/src/shared.ts', "import { y } from './deep.ts';"];
  const deep: [string, string] = ['packages/tasks/src/deep.ts', "import { z } from 'node:os';"];
  assert.deepEqual(complaints(schema, between, deep), ['packages/tasks/src/http/schema.ts:1']);
});
