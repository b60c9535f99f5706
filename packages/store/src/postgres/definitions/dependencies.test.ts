import assert from 'node:assert/strict';
import { test } from 'node:test';
import { draftOf, namedWorkflow, openWorld } from '../../testing/world.ts';

const draft = (name: string, dependsOn: readonly string[] = []) =>
  draftOf({ ...namedWorkflow('demo', name), ...(dependsOn.length > 0 && { dependsOn }) });

test('dependencies are there before or among what is applied, and make no circle', async (t) => {
  const { definitions } = await openWorld(t);
  await definitions.apply([draft('mart', ['demo/extract']), draft('extract')]);
  await definitions.apply([draft('report', ['demo/mart'])]);
  const typo = [draft('other', ['demo/extrakt'])];
  const unknown = { code: 'unknown-dependency', message: /demo\/other depends on demo\/extrakt, .*demo\/extract/ };
  await assert.rejects(definitions.apply(typo), unknown);
  await assert.rejects(definitions.plan(typo), unknown);
  const back = [draft('extract', ['demo/report'])];
  const cycle = { code: 'dependency-cycle', message: /demo\/\w+ → demo\/\w+ → demo\/\w+ → demo\/\w+$/ };
  await assert.rejects(definitions.apply(back), cycle);
  await assert.rejects(definitions.plan(back), cycle);
  assert.equal((await definitions.get({ project: 'demo', name: 'extract' }))?.version, 1, 'nothing was applied');
  await definitions.apply([draft('extract', ['demo/report']), draft('report')]);
});

test('two that would make a circle together: one of them is refused', async (t) => {
  const { definitions } = await openWorld(t);
  await definitions.apply([draft('a'), draft('b')]);
  for (let round = 0; round < 5; round++) {
    const both = await Promise.allSettled([
      definitions.apply([draft('a', ['demo/b'])]),
      definitions.apply([draft('b', ['demo/a'])]),
    ]);
    assert.equal(both.filter(({ status }) => status === 'rejected').length, 1);
    await definitions.apply([draft('a'), draft('b')]);
  }
});

test('a workflow that a backfill is still to run is not deleted', async (t) => {
  const { definitions, apply, sql } = await openWorld(t);
  const [extract] = [await apply(namedWorkflow('demo', 'extract'))];
  await sql(
    `insert into backfill (id, workflow_id, state, parallel, priority, on_failure, again, members, params, request, created_by,
                           waiting, pending, running, succeeded, failed, stopped, skipped)
     select 7, w.id, 'paused', 1, 0, 'stop', false, jsonb_build_array(jsonb_build_object('workflowId', w.id::text)), '{}', '{}', 'me', 0, 1, 0, 0, 0, 0, 0
       from workflow w where w.name = $1`,
    [extract?.name],
  );
  const name = { project: 'demo', name: 'extract' };
  await assert.rejects(definitions.delete(name, 'me'), { code: 'workflow-busy', message: /backfill 7/ });
  await sql("update backfill set state = 'cancelled', pending = 0, skipped = 1");
  await definitions.delete(name, 'me');
});
