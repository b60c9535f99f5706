import assert from 'node:assert/strict';
import { test } from 'node:test';
import { workflow } from './workflow.ts';

test('gives back the plain object that a file would hold', () => {
  const unset: string | undefined = undefined;
  const made = workflow({
    name: 'daily',
    'x-team': { pager: 7 },
    tasks: {
      extract: { run: 'true', ...(unset !== undefined && { if: unset }) },
      load: { needs: ['extract'], uses: 'sql', with: { datasource: 'w', sql: 'select 1' } },
      tell: { needs: { load: ['succeeded', 'failed'] }, uses: 'http', with: { url: 'http://x' } },
    },
  });
  assert.deepEqual(made, {
    name: 'daily',
    'x-team': { pager: 7 },
    tasks: {
      extract: { run: 'true' },
      load: { needs: ['extract'], uses: 'sql', with: { datasource: 'w', sql: 'select 1' } },
      tell: { needs: { load: ['succeeded', 'failed'] }, uses: 'http', with: { url: 'http://x' } },
    },
  });
});

test('leaves out keys that are undefined, as JSON does', () => {
  const made = workflow({ name: 'a', tasks: { a: { run: 'true' } }, 'x-none': undefined });
  assert.deepEqual(Object.keys(made), ['name', 'tasks']);
});

test('the types refuse a need that is no task of the workflow', () => {
  const made = workflow({
    name: 'a',
    tasks: {
      a: { run: 'true' },
      // @ts-expect-error there is no task "c"
      b: { run: 'true', needs: ['c'] },
    },
  });
  assert.deepEqual(made.tasks.b.needs, ['c'], 'what types cannot stop is left to lint');
});

test('the types refuse a task that does nothing', () => {
  // @ts-expect-error neither run nor uses
  workflow({ name: 'a', tasks: { a: { title: 'nothing' } } });
});

test('a trigger is of one kind', () => {
  const tasks = { a: { run: 'true' } };
  workflow({
    name: 'a',
    triggers: [
      { cron: '30 2 * * *', calendars: ['holidays'], misfire: 'skip', misfireThreshold: '5m' },
      { fixedRate: '30s', start: '2026-12-01', jitter: '5s' },
      { fixedDelay: '1s', enabled: false },
      { at: '2026-12-01T08:00', timezone: 'Asia/Shanghai' },
      { id: 'office', dailyInterval: { from: '09:00', to: '18:00', every: '30m', weekdays: ['MON-FRI'] } },
    ],
    tasks,
  });
  // @ts-expect-error two kinds
  workflow({ name: 'a', triggers: [{ cron: '@daily', fixedRate: '1m' }], tasks });
  // @ts-expect-error no kind
  workflow({ name: 'a', triggers: [{ timezone: 'UTC' }], tasks });
});

test('says where a value stands that a definition cannot hold', () => {
  const build = (value: unknown) => () =>
    workflow({ name: 'a', tasks: { a: { run: 'true' } }, 'x-value': { list: [value] } });
  assert.throws(build(new Date(0)), { name: 'TypeError', message: /workflow\.x-value\.list\[0\] is a Date/ });
  assert.throws(build(Number.NaN), { message: /list\[0\] is NaN/ });
  assert.throws(
    build(() => 1),
    { message: /list\[0\] is a function/ },
  );
  assert.throws(build(undefined), { message: /list\[0\] is undefined/ });
  const loop: Record<string, unknown> = {};
  loop['self'] = loop;
  assert.throws(build(loop), { message: /list\[0\]\.self contains itself/ });
});
