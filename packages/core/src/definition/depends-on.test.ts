import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDefinition } from './parse.ts';
import { sampleTaskTypes } from './testing/task-types.ts';

const parse = (dependsOn: string) =>
  parseDefinition(`name: load\nproject: demo\n${dependsOn}\ntasks: { a: { run: 'true' } }\n`, {
    taskTypes: sampleTaskTypes,
  });
const problems = (dependsOn: string) =>
  parse(dependsOn).issues.map(({ code, path, line, message }) => `${code} ${path} ${line}: ${message}`);

test('names become project/name, and without any the key is left out', () => {
  assert.deepEqual(parse('dependsOn: [extract, other/feed]').definition?.dependsOn, ['demo/extract', 'other/feed']);
  for (const none of ['', 'dependsOn: []']) assert.equal('dependsOn' in (parse(none).definition ?? {}), false);
});

test('what cannot be a dependency is refused where it stands', () => {
  assert.deepEqual(problems('dependsOn: [extract, load]'), [
    'dependency-cycle dependsOn[1] 3: the workflow demo/load cannot depend on itself',
  ]);
  assert.deepEqual(problems('dependsOn: [extract, demo/extract]'), [
    'duplicate-dependency dependsOn[1] 3: demo/extract is named twice',
  ]);
  assert.deepEqual(problems('dependsOn: ["No Such"]'), [
    'bad-name dependsOn[0] 3: must be a workflow: its name, or project/name for one of another project, not "No Such"',
  ]);
  assert.match(problems('dependsOn: extract')[0] ?? '', /^bad-type dependsOn 3: must be a list/);
});
