import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { TaskDefinition } from './model.ts';
import { parseDefinition } from './parse.ts';
import { actionsOf, compileWorkflow } from './plan.ts';
import { sampleTaskTypes } from './testing/task-types.ts';

const HEAD = 'name: a\nparams: { day: { type: date } }\n';

function parsed(tasks: string, head = HEAD) {
  const text = `${head}tasks:\n${tasks.replace(/^/gm, '  ')}\n`;
  const { definition, issues } = parseDefinition(text, { taskTypes: sampleTaskTypes });
  return { definition, issues, places: issues.map(({ code, line, column }) => `${code} ${line}:${column}`) };
}

function task(tasks: string, head = HEAD): TaskDefinition {
  const { definition, issues } = parsed(tasks, head);
  assert.deepEqual(issues, []);
  const found = Object.values(definition?.tasks ?? {}).at(-1);
  assert.ok(found);
  return found;
}

test('a broadcast is normalised: steps are whole, limits have defaults', () => {
  assert.deepEqual(task('a: { run: clean, mode: broadcast }').broadcast, { maxFailed: 0 });
  assert.equal(task('a: { run: clean, mode: single }').broadcast, undefined);
  const { broadcast } = task(`a:
  uses: node
  with: { module: ./each.ts }
  env: { A: x, B: y }
  mode: broadcast
  broadcast:
    before: { run: "echo hello", env: { B: z } }
    after: { with: { module: ./after.ts }, x-note: ours }
    parallel: 4
    maxFailed: 1
    x-why: so`);
  assert.deepEqual(broadcast, {
    before: { uses: 'shell', with: { run: 'echo hello' }, env: { A: 'x', B: 'z' } },
    after: { uses: 'node', with: { module: './after.ts' }, env: { A: 'x', B: 'y' } },
    parallel: 4,
    maxFailed: 1,
  });
});

test('onLost is a word or a number, and says nothing where it says what holds anyway', () => {
  assert.deepEqual(task('a: { run: x, onLost: fail }').onLost, { retries: 0 });
  assert.deepEqual(task('a: { run: x, onLost: { retry: 7 } }').onLost, { retries: 7 });
  assert.equal(task('a: { run: x, onLost: retry }').onLost, undefined);
  const fail = `${HEAD}defaults: { onLost: fail }\n`;
  assert.deepEqual(task('a: { run: x }', fail).onLost, { retries: 0 });
  assert.equal(task('a: { run: x, onLost: retry }', fail).onLost, undefined);
  assert.deepEqual(parsed('a: { run: x, onLost: never }').places, ['bad-value 4:24']);
  assert.deepEqual(parsed('a: { run: x, onLost: { retry: -1 } }').places, ['out-of-range 4:33']);
  assert.deepEqual(parsed('a: { run: x, onLost: { max: 1 } }').places, ['missing-key 4:16', 'unknown-key 4:26']);
});

const mistakes: readonly (readonly [string, string, readonly string[]])[] = [
  ['no mode', 'a: { run: x, broadcast: { parallel: 2 } }', ['broadcast-without-mode 4:16']],
  ['mode single', 'a: { run: x, mode: single, broadcast: {} }', ['broadcast-without-mode 4:30']],
  ['unknown mode', 'a: { run: x, mode: brodcast }', ['bad-value 4:22']],
  ['http', 'a: { uses: http, with: { url: "https://x.org" }, mode: broadcast }', ['mode-not-allowed 4:58']],
  ['sql', 'a: { uses: sql, with: { datasource: d, sql: select 1 }, mode: broadcast }', ['mode-not-allowed 4:65']],
  ['negative limit', 'a: { run: x, mode: broadcast, broadcast: { parallel: -1 } }', ['out-of-range 4:56']],
  ['no place', 'a: { run: x, mode: broadcast, broadcast: { parallel: 0 } }', ['out-of-range 4:56']],
  ['negative failures', 'a: { run: x, mode: broadcast, broadcast: { maxFailed: -1 } }', ['out-of-range 4:57']],
  ['a share', 'a: { run: x, mode: broadcast, broadcast: { maxFailed: 10% } }', ['bad-type 4:57']],
  [
    'unknown task type',
    'a: { run: x, mode: broadcast, broadcast: { before: { uses: htp, with: {} } } }',
    ['unknown-task-type 4:62'],
  ],
  ['nothing to do', 'a: { run: x, mode: broadcast, broadcast: { after: {} } }', ['no-action 4:46']],
  [
    'two actions',
    'a: { run: x, mode: broadcast, broadcast: { after: { run: x, uses: shell } } }',
    ['run-and-uses 4:63'],
  ],
  ['needs', 'a: { run: x, mode: broadcast, broadcast: { before: { run: x, needs: [b] } } }', ['unknown-key 4:64']],
  ['retry', 'a: { run: x, mode: broadcast, broadcast: { retry: 3 } }', ['unknown-key 4:46']],
  [
    'unknown input',
    'a: { run: x, mode: broadcast, broadcast: { after: { with: { rum: x } } } }',
    ['missing-key 4:55', 'unknown-key 4:63'],
  ],
  [
    'code',
    'a: { run: x, mode: broadcast, broadcast: { after: { run: "echo ${{ params.day }}" } } }',
    ['expression-in-code 4:60'],
  ],
  [
    'own outputs',
    'a: { run: x, mode: broadcast, broadcast: { after: { run: x, env: { N: "${{ tasks.a.outputs.n }}" } } } }',
    ['self-reference 4:73'],
  ],
  [
    'reserved',
    'a: { run: x, mode: broadcast, broadcast: { before: { run: x, env: { KEELSON_BROADCAST_INDEX: 1 } } } }',
    ['reserved-env-name 4:71'],
  ],
];

for (const [name, text, expected] of mistakes) {
  test(`a mistake in a broadcast has a place: ${name}`, () => assert.deepEqual(parsed(text).places, expected));
}

test('a share of the subtasks gets a hint', () => {
  const { issues } = parsed('a: { run: x, mode: broadcast, broadcast: { maxFailed: 10% } }');
  assert.match(issues[0]?.suggestion ?? '', /how many subtasks/);
});

test('what the steps read of tasks and secrets belongs to the task', () => {
  const { definition } = parsed(`up: { run: x }
a:
  run: x
  needs: [up]
  mode: broadcast
  broadcast:
    before: { run: x, env: { N: "\${{ tasks.up.outputs.n }}" } }
    after: { run: x, env: { S: "\${{ secrets.KEY }}" } }`);
  assert.ok(definition);
  const plan = compileWorkflow(definition);
  const a = plan.tasks.get('a');
  assert.deepEqual([a?.inputRefs, a?.secretRefs, plan.broadcasts], [['up'], ['KEY'], true]);
  assert.ok(a);
  assert.deepEqual(
    actionsOf(a.definition).map(({ path }) => path),
    ['tasks.a', 'tasks.a.broadcast.before', 'tasks.a.broadcast.after'],
  );
});
