import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { taskOf } from '@keelson/core/testing';
import { draftOf, namedWorkflow, openWorld } from '../../testing/world.ts';
import { postgresBlobs } from '../blobs.ts';

const versionOf = (label: string) => draftOf({ ...namedWorkflow('demo', 'etl'), description: label });

test('content makes a version when it differs from the latest one, and only then', async (t) => {
  const { definitions } = await openWorld(t);
  const seen = [];
  for (const label of ['one', 'one', 'two', 'one']) {
    const [applied] = await definitions.apply([versionOf(label)]);
    seen.push([applied?.version, applied?.changed]);
  }
  assert.deepEqual(seen, [
    [1, true],
    [1, false],
    [2, true],
    [3, true],
  ]);
});

test('a version comes back as it was applied, its tasks in the order of the file', async (t) => {
  const { definitions } = await openWorld(t);
  const draft = draftOf(namedWorkflow('demo', 'etl', [taskOf('zeta'), taskOf('a_long_name'), taskOf('b', ['zeta'])]));
  const [applied] = await definitions.apply([draft]);
  const found = await definitions.versionById(applied?.versionId ?? '');
  assert.deepEqual(found?.definition, draft.definition);
  assert.deepEqual(Object.keys(found.definition.tasks), ['zeta', 'a_long_name', 'b']);
  assert.deepEqual(await definitions.get({ project: 'demo', name: 'etl' }), found);
  assert.equal(found.source, draft.source);
});

test('applies of the same workflow at the same time make one version after the other', async (t) => {
  const { definitions } = await openWorld(t);
  const different = await Promise.all(
    Array.from({ length: 8 }, (_, index) => definitions.apply([versionOf(`v${index}`)])),
  );
  assert.deepEqual(new Set(different.map(([applied]) => applied?.version)), new Set([1, 2, 3, 4, 5, 6, 7, 8]));
  const equal = await Promise.all(Array.from({ length: 8 }, () => definitions.apply([versionOf('same')])));
  assert.deepEqual(
    equal.map(([applied]) => applied?.version),
    Array.from({ length: 8 }, () => 9),
  );
  assert.equal(equal.filter(([applied]) => applied?.changed).length, 1);
});

test('bundles that share workflows in different orders do not block each other for ever', async (t) => {
  const { definitions } = await openWorld(t);
  const names = ['a', 'b', 'c', 'd', 'e'];
  const bundle = (round: number) =>
    names.map((name) => draftOf({ ...namedWorkflow(`p-${name}`, name), description: `${round}` }));
  await Promise.all(
    Array.from({ length: 10 }, (_, round) =>
      definitions.apply(round % 2 === 0 ? bundle(round) : bundle(round).toReversed()),
    ),
  );
  for (const name of names) assert.equal((await definitions.get({ project: `p-${name}`, name }))?.latestVersion, 10);
});

test('a file that was not uploaded is named, and nothing of the bundle is stored', async (t) => {
  const { definitions, pool } = await openWorld(t);
  const bytes = Buffer.from('echo');
  const present = createHash('sha256').update(bytes).digest('hex');
  const absent = 'f'.repeat(64);
  await postgresBlobs(pool).put(present, bytes);
  const files = [
    { path: 'a.sh', sha256: present, size: 4, mode: 0o755 },
    { path: 'sql/b.sql', sha256: absent, size: 4, mode: 0o644 },
  ];
  const bundle = [versionOf('one'), draftOf(namedWorkflow('demo', 'other'), { files })];
  await assert.rejects(definitions.apply(bundle), {
    code: 'missing-blobs',
    message: /demo\/other: sql\/b\.sql$/,
    missing: [absent],
  });
  assert.equal(await definitions.get({ project: 'demo', name: 'etl' }), undefined);
  await definitions.apply([draftOf(namedWorkflow('demo', 'other'), { files: files.slice(0, 1) })]);
  assert.deepEqual((await definitions.get({ project: 'demo', name: 'other' }))?.files, files.slice(0, 1));
});

test('bad names and a workflow that is defined twice are refused', async (t) => {
  const { definitions } = await openWorld(t);
  await assert.rejects(definitions.apply([versionOf('one'), versionOf('two')]), { code: 'duplicate-workflow' });
  await assert.rejects(definitions.apply([draftOf(namedWorkflow('demo', 'Not a name'))]), { code: 'invalid-name' });
  assert.deepEqual(await definitions.list({}, { limit: 10 }), { items: [], next: null });
});

test('the plan says what an apply would do, and does nothing', async (t) => {
  const { definitions } = await openWorld(t);
  await definitions.apply([versionOf('one'), draftOf(namedWorkflow('demo', 'other'))]);
  const planned = await definitions.plan([
    versionOf('one'),
    draftOf(namedWorkflow('demo', 'other', [taskOf('x')])),
    draftOf(namedWorkflow('new', 'one')),
  ]);
  assert.deepEqual(
    planned.map(({ change, latest }) => [change, latest?.version]),
    [
      ['unchanged', 1],
      ['update', 1],
      ['create', undefined],
    ],
  );
  assert.deepEqual(Object.keys(planned[1]?.latest?.definition.tasks ?? {}), ['a']);
  assert.deepEqual(await definitions.plan([draftOf(namedWorkflow('new', 'one'))]), [
    { project: 'new', name: 'one', change: 'create' },
  ]);
});

test('lists come in pages, sorted, and narrowed by project and part of the name', async (t) => {
  const { definitions } = await openWorld(t);
  const names = [
    ['b', 'x-daily'],
    ['a', 'z'],
    ['a', 'm-daily'],
    ['a', 'a1'],
    ['a', 'a-1'],
  ] as const;
  await definitions.apply(names.map(([project, name]) => draftOf(namedWorkflow(project, name))));
  const all: string[] = [];
  let cursor: string | undefined;
  for (;;) {
    const page = await definitions.list({}, { limit: 2, cursor });
    all.push(...page.items.map(({ project, name }) => `${project}/${name}`));
    if (page.next === null) break;
    cursor = page.next;
  }
  assert.deepEqual(all, ['a/a-1', 'a/a1', 'a/m-daily', 'a/z', 'b/x-daily']);
  const daily = await definitions.list({ search: 'daily', project: 'a' }, { limit: 10 });
  assert.deepEqual(
    daily.items.map(({ name, taskCount, version }) => [name, taskCount, version]),
    [['m-daily', 1, 1]],
  );
  assert.equal(daily.next, null);
  await assert.rejects(definitions.list({}, { limit: 2, cursor: 'nonsense' }), { code: 'invalid-cursor' });
});

test('versions are listed newest first and can be read again', async (t) => {
  const { definitions } = await openWorld(t);
  for (const label of ['one', 'two', 'three']) await definitions.apply([versionOf(label)]);
  const workflow = { project: 'demo', name: 'etl' };
  const first = await definitions.versions(workflow, { limit: 2 });
  assert.deepEqual(
    first.items.map(({ version }) => version),
    [3, 2],
  );
  const second = await definitions.versions(workflow, { limit: 2, cursor: first.next ?? undefined });
  assert.deepEqual([second.items.map(({ version }) => version), second.next], [[1], null]);
  assert.equal((await definitions.get(workflow, 2))?.definition.description, 'two');
  assert.equal(await definitions.get(workflow, 4), undefined);
});

test('a workflow with live instances is not deleted; a deleted one comes back with the next apply', async (t) => {
  const { definitions, apply, start, end } = await openWorld(t);
  const workflow = { project: 'demo', name: 'etl' };
  const applied = await apply(namedWorkflow('demo', 'etl'));
  const id = await start(applied);
  await assert.rejects(definitions.delete(workflow), {
    code: 'workflow-busy',
    message: new RegExp(`instance ${id} under way`),
  });
  await end(id, 'succeeded');
  await definitions.delete(workflow);
  await assert.rejects(definitions.delete(workflow), { code: 'unknown-workflow' });
  assert.equal(await definitions.get(workflow), undefined);
  assert.deepEqual((await definitions.list({}, { limit: 10 })).items, []);
  assert.deepEqual((await definitions.plan([draftOf(namedWorkflow('demo', 'etl'))]))[0]?.change, 'create');
  assert.equal((await definitions.versionById(applied.versionId))?.version, 1, 'what has run keeps its version');
  const again = await apply(namedWorkflow('demo', 'etl'));
  assert.deepEqual([again.version, again.changed], [1, true]);
  assert.equal((await definitions.get(workflow))?.version, 1);
});
