import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileWorkflow } from '../definition/plan.ts';
import { runContext } from '../expression/scope.ts';
import { taskOf, workflowOf } from '../testing/definitions.ts';
import { decide } from './decide.ts';
import { freshLive } from './testing/rows.ts';
import type { EngineEvent, TaskRecord } from './view.ts';

const WIDTH = 200;

const wide = Array.from({ length: WIDTH }, (_, index) => index);
const tasks = [
  taskOf('root'),
  ...wide.map((index) => taskOf(`a${index}`)),
  ...wide.map((index) => taskOf(`b${index}`, ['root', `a${index}`])),
];
const plan = compileWorkflow(workflowOf(tasks, { onFailure: 'end' }));

/** How often the shell has to read more rows before the decision is made: each is a round trip under the instance's lock. */
function rounds(events: readonly EngineEvent[], ending: boolean): number {
  const records = new Map<string, TaskRecord>();
  const live = {
    id: '1',
    versionId: '1',
    generation: 1,
    revision: 1,
    state: 'running' as const,
    begun: true,
    endedAhead: false,
    unfinished: tasks.length,
    failed: 0,
    ending,
    hasArtifacts: false,
    failure: null,
    priority: 0,
  };
  const run = runContext({ id: '1', workflow: 'w', project: 'p', timeUtc: '2026-01-02T03:04:05Z', zone: 'UTC' });
  for (let count = 0; ; count++) {
    const decision = decide({ live, plan, scope: { params: {}, run }, tasks: records }, events);
    if (decision.kind === 'decided') return count;
    for (const id of decision.missing.tasks) records.set(id, { met: 0 });
  }
}

test('tasks taken back are decided in a few reads, however many they are', () => {
  const withdrawn = wide.map((index) => ({ task: `a${index}`, attempt: 1, from: 'ready' as const }));
  const count = rounds([{ type: 'withdrawn', tasks: withdrawn }], true);
  assert.ok(count <= 3, `${count} reads for ${WIDTH} tasks`);
});

test('a task with many successors is decided in a few reads when nothing was loaded ahead', () => {
  const attempt = { id: '1', task: 'root', attempt: 1, losses: 0, state: 'running' as const, killReason: null };
  const count = rounds([{ type: 'attempt-ended', attempt, end: 'succeeded' }], false);
  assert.ok(count <= 3, `${count} reads for ${WIDTH} successors`);
});

test('a long chain is skipped in steps that grow with it, not with its square', () => {
  const chain = Array.from({ length: 2000 }, (_, index) => taskOf(`t${index}`, index === 0 ? [] : [`t${index - 1}`]));
  const real = compileWorkflow(workflowOf(chain));
  let looks = 0;
  const counting = new Map(real.tasks);
  counting.get = (id) => {
    looks++;
    return real.tasks.get(id);
  };
  const run = runContext({ id: '1', workflow: 'w', project: 'p', timeUtc: '2026-01-02T03:04:05Z', zone: 'UTC' });
  const live = { ...freshLive(real.definition, 1, false), begun: true };
  const attempt = { id: '1', task: 't0', attempt: 1, losses: 0, state: 'running' as const, killReason: null };
  const decision = decide({ live, plan: { ...real, tasks: counting }, scope: { params: {}, run }, tasks: new Map() }, [
    { type: 'attempt-ended', attempt, end: 'failed' },
  ]);
  assert.equal(decision.kind === 'decided' && decision.changes.finished.length, 2000);
  assert.ok(looks < 20 * chain.length, `${looks} looks at ${chain.length} tasks`);
});
