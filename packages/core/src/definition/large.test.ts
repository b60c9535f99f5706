import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MAX_ISSUES, MAX_TASKS } from './limits.ts';
import { definitionFromObject, parseDefinition } from './parse.ts';
import { compileWorkflow } from './plan.ts';
import { sampleTaskTypes } from './testing/task-types.ts';

const options = { taskTypes: sampleTaskTypes };

/** Each task needs the one before, and reads one that lies far upstream. */
function chain(length: number): { name: string; tasks: Record<string, unknown> } {
  const tasks = Array.from({ length }, (_, index): [string, unknown] => [
    `t${index}`,
    {
      run: 'true',
      needs: index === 0 ? [] : [`t${index - 1}`],
      env: index < 3 ? {} : { X: `\${{ tasks.t${Math.floor(index / 3)}.outputs.x }}` },
    },
  ]);
  return { name: 'chain', tasks: Object.fromEntries(tasks) };
}

test('a chain of 10,000 tasks is read, and its graph is walked without recursion', () => {
  const { definition, issues } = parseDefinition(JSON.stringify(chain(10_000)), options);
  assert.deepEqual(issues, []);
  assert.ok(definition);
  const plan = compileWorkflow(definition);
  assert.equal(plan.taskCount, 10_000);
  assert.deepEqual(plan.roots, ['t0']);
});

test('one task of 10,000 that reads downstream is found', () => {
  const object = chain(10_000);
  object.tasks.t40 = { run: 'true', needs: ['t39'], env: { X: '${{ tasks.t9000.outputs.x }}' } };
  assert.deepEqual(
    definitionFromObject(object, options).issues.map(({ code, path }) => `${code} ${path}`),
    ['not-upstream tasks.t40.env.X'],
  );
});

test('of a hundred tasks that one reads, those that are not upstream are found', () => {
  const sources = Array.from({ length: 100 }, (_, index) => `s${index}`);
  const tasks = {
    ...Object.fromEntries(sources.map((id) => [id, { run: 'true' }])),
    middle: { run: 'true', needs: sources.filter((_, index) => index % 2 === 0) },
    reader: {
      run: 'true',
      needs: ['middle'],
      env: Object.fromEntries(sources.map((id) => [id, `\${{ tasks.${id}.state }}`])),
    },
  };
  const { issues } = definitionFromObject({ name: 'many', tasks }, options);
  const expected = sources.filter((_, index) => index % 2 === 1).map((id) => `tasks.reader.env.${id}`);
  assert.deepEqual(issues.map(({ path }) => path).toSorted(), expected.toSorted());
});

test('a cycle of 10,000 tasks is one issue of readable length', () => {
  const object = chain(10_000);
  object.tasks.t0 = { run: 'true', needs: ['t9999'] };
  const { issues } = definitionFromObject(object, options);
  assert.deepEqual(
    issues.map(({ code }) => code),
    ['cycle'],
  );
  assert.match(issues[0]?.message ?? '', /^these tasks wait for each other: t0 → t1 → .*… \(9988 more\) → t9999 → t0$/);
});

test('100,000 tasks are taken, one more is refused', () => {
  const tasks = Object.fromEntries(Array.from({ length: MAX_TASKS }, (_, index) => [`t${index}`, { run: 'true' }]));
  assert.equal(definitionFromObject({ name: 'wide', tasks }, options).issues.length, 0);
  const refused = definitionFromObject({ name: 'wide', tasks: { ...tasks, more: { run: 'true' } } }, options);
  assert.deepEqual(
    refused.issues.map(({ code }) => code),
    ['too-many-tasks'],
  );
});

test('the issues of a file that is wrong throughout are cut off and counted', () => {
  const tasks = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`t${index}`, { rum: 'true' }]));
  const { issues } = parseDefinition(JSON.stringify({ name: 'wrong', tasks }, null, 1), options);
  assert.equal(issues.length, MAX_ISSUES + 1);
  assert.match(issues.find(({ code }) => code === 'more-issues')?.message ?? '', /and 1500 more issues/);
});
