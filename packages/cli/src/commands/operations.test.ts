import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { BulkItem, BulkResponse } from '@keelson/protocol';
import { runCli } from '../program.ts';
import { endedTask, sampleDetail, sampleInstance, sampleTask } from '../testing/sample-instance.ts';
import type { Handler } from '../testing/test-api.ts';
import { refuse, sendEvents, testApi } from '../testing/test-api.ts';
import { testTerminal } from '../testing/test-terminal.ts';

interface Answers {
  /** What a person at a terminal types. */
  readonly typed?: string;
}

async function keelson(
  context: TestContext,
  args: readonly string[],
  handlers: Readonly<Record<string, Handler>>,
  { typed }: Answers = {},
) {
  const api = await testApi(context, handlers);
  const terminal = testTerminal({ env: api.env, ...(typed !== undefined && { tty: { columns: 200, rows: 40 } }) });
  const stdin = typed === undefined ? terminal.stdin : Object.assign(Readable.from([typed]), { isTTY: true });
  const code = await runCli(args, { ...terminal, stdin });
  return { code, out: terminal.out(), err: terminal.err(), calls: api.calls };
}

const answered =
  (operation: string, outcome: 'requested' | 'already' = 'requested', generation?: number): Handler =>
  () => ({ id: '7', operation, outcome, ...(generation !== undefined && { generation }) });

function item(id: string, outcome: BulkItem['outcome'] = 'requested'): BulkItem {
  const refused = outcome === 'refused';
  return {
    id,
    project: 'demo',
    workflow: 'daily',
    runTime: '2026-01-01T00:00:00Z',
    state: 'running',
    outcome,
    code: refused ? 'instance-ended' : null,
    message: refused ? `instance ${id} has ended` : null,
  };
}

const bulk =
  (...items: BulkItem[]): Handler =>
  ({ body }): BulkResponse => {
    const { operation, dryRun = false } = body as { operation: 'stop'; dryRun?: boolean };
    return { operation, dryRun, items, next: null };
  };

test('one instance is answered in a sentence, asked for again too', async (context) => {
  const words = async (command: string, outcome: 'requested' | 'already', ...args: string[]) => {
    const handlers = { [`POST instances/*/${command}`]: answered(command, outcome) };
    const { code, out } = await keelson(context, [command, '7', ...args], handlers);
    assert.equal(code, 0);
    return out;
  };
  assert.equal(await words('pause', 'requested'), 'Instance 7 is being paused\n');
  assert.equal(await words('pause', 'already'), 'Instance 7 is paused already\n');
  assert.equal(await words('resume', 'requested'), 'Instance 7 goes on\n');
  assert.equal(await words('stop', 'already'), 'Instance 7 was being stopped already\n');
  assert.equal(await words('priority', 'requested', '-5'), 'Instance 7 gets priority -5\n');
});

test('what begins a generation names the one that was seen', async (context) => {
  const now = { 'GET instances/*': () => sampleDetail([], { state: 'failed', generation: 3 }) };
  const rerun = await keelson(context, ['rerun', '7', '--from', 'load', '-p', 'n:=2', '-p', 'day=today', '--latest'], {
    ...now,
    'POST instances/*/rerun': answered('rerun', 'requested', 4),
  });
  assert.equal(rerun.code, 0, rerun.err);
  assert.equal(rerun.out, 'Instance 7 begins generation 4: load and what is after it\n');
  assert.deepEqual(rerun.calls.at(-1)?.body, {
    from: 'load',
    params: { n: 2, day: 'today' },
    latest: true,
    generation: 3,
  });
  const recover = await keelson(context, ['recover', '7', '--json'], {
    ...now,
    'POST instances/*/recover': answered('recover', 'already', 4),
  });
  assert.deepEqual(JSON.parse(recover.out), { id: '7', operation: 'recover', outcome: 'already', generation: 4 });
  const force = await keelson(context, ['force-success', '7/load'], {
    ...now,
    'POST instances/*/tasks/*/force-success': answered('force-success', 'requested', 4),
  });
  assert.equal(force.out, 'Task 7/load counts as succeeded, in generation 4\n');
  assert.equal(force.calls.at(-1)?.path, 'instances/7/tasks/load/force-success');
});

test('rerun --wait is as run --wait; pause --wait ends when it is paused', async (context) => {
  const life = (state: 'succeeded' | 'failed') => ({
    'GET instances/*': () => sampleDetail([endedTask('a', state)], { state, endedAt: '2026-01-01T00:00:09Z' }),
    'POST instances/*/rerun': answered('rerun', 'requested', 2),
    'GET task-instances/*/log': (_call: unknown, response: Parameters<typeof refuse>[0]) =>
      refuse(response, 'unknown-task-instance', 'none'),
    'GET instances/*/events': (_call: unknown, response: Parameters<typeof sendEvents>[0]) =>
      sendEvents(response, 'live', [
        { event: 'snapshot', data: sampleDetail([sampleTask('a')], { generation: 2 }) },
        {
          event: 'end',
          data: sampleInstance([endedTask('a', state)], { state, generation: 2, endedAt: '2026-01-01T00:00:09Z' }),
        },
      ]),
  });
  const good = await keelson(context, ['rerun', '7', '--wait'], life('succeeded'));
  assert.equal(good.code, 0, good.err);
  assert.match(good.out, /instance 7 generation 2 {2}succeeded/);
  assert.equal((await keelson(context, ['rerun', '7', '--wait'], life('failed'))).code, 1);

  const pause = (state: 'paused' | 'succeeded') => ({
    'POST instances/*/pause': answered('pause'),
    'GET instances/*/events': (_call: unknown, response: Parameters<typeof sendEvents>[0]) =>
      sendEvents(response, 'live', [
        { event: 'snapshot', data: sampleDetail([sampleTask('a')], { state: 'pausing' }) },
        state === 'paused'
          ? { event: 'instance', data: sampleInstance([], { state }) }
          : { event: 'end', data: sampleInstance([], { state, endedAt: '2026-01-01T00:00:09Z' }) },
      ]),
  });
  assert.equal((await keelson(context, ['pause', '7', '--wait'], pause('paused'))).code, 0);
  const late = await keelson(context, ['pause', '7', '--wait'], pause('succeeded'));
  assert.equal(late.code, 1);
  assert.match(late.err, /instance 7 was not paused: it ended as succeeded before/);
});

test('several instances: a line for each, and 1 when one is refused', async (context) => {
  const handlers = { 'POST instances/operations': bulk(item('8'), item('7', 'refused')) };
  const { code, out, err, calls } = await keelson(context, ['stop', '7', '8', '7'], handlers);
  assert.equal(code, 1);
  assert.match(
    out,
    /8 +demo\/daily .* requested\n7 +demo\/daily .* refused: instance 7 has ended \(instance-ended\)\n/,
  );
  assert.equal(err, '1 requested, 1 refused\n');
  assert.deepEqual(calls[0]?.body, { operation: 'stop', filter: { ids: ['7', '8'] }, dryRun: false, limit: 500 });
});

test('a filter, page after page up to the limit; times as a person writes them', async (context) => {
  let page = 0;
  const handlers: Record<string, Handler> = {
    'POST instances/operations': () => ({
      operation: 'pause',
      dryRun: true,
      items: [item(String(100 - page)), item(String(90 - page))],
      next: `c${++page}`,
    }),
  };
  const { code, out, err, calls } = await keelson(
    context,
    [
      'pause',
      '--workflow',
      'demo/daily',
      '--state',
      'running',
      '--created-from',
      '2026-01-31T00:00:00+08:00',
      '--limit',
      '4',
      '--dry-run',
      '--json',
    ],
    handlers,
  );
  assert.equal(code, 0, err);
  assert.equal(JSON.parse(out).items.length, 4);
  assert.deepEqual(
    calls.map(({ body }) => body),
    [undefined, 'c1'].map((cursor, index) => ({
      operation: 'pause',
      filter: { project: 'demo', workflow: 'daily', state: 'running', createdFrom: '2026-01-31T00:00:00+08:00' },
      dryRun: true,
      limit: 4 - 2 * index,
      ...(cursor !== undefined && { cursor }),
    })),
  );
});

test('a person is asked before a filter takes effect, and gets exactly what was shown', async (context) => {
  const handlers = { 'POST instances/operations': bulk(item('8'), item('7', 'refused')) };
  const args = ['stop', '--state', 'running'];
  const no = await keelson(context, args, handlers, { typed: 'n\n' });
  assert.equal(no.code, 1);
  assert.match(no.err, /stop: 1 instance\? \[y\/N\]/);
  assert.deepEqual(
    no.calls.map(({ body }) => (body as { dryRun: boolean }).dryRun),
    [true],
  );
  const yes = await keelson(context, args, handlers, { typed: 'y\n' });
  assert.deepEqual(
    yes.calls.map(({ body }) => body),
    [
      { operation: 'stop', filter: { state: 'running' }, dryRun: true, limit: 500 },
      { operation: 'stop', filter: { ids: ['8'] }, dryRun: false, limit: 500 },
    ],
  );
  const unasked = await keelson(context, [...args, '--yes'], handlers, { typed: '' });
  assert.equal(unasked.calls.length, 1);
});

test('tasks: by their full names, or one task of many instances', async (context) => {
  const { code, out } = await keelson(context, ['skip', '7/load', '8/load'], {
    'POST instances/*/tasks/*/skip': ({ path }, response) =>
      path.startsWith('instances/8')
        ? refuse(response, 'task-running', 'a worker has the task')
        : { id: '7', operation: 'skip', outcome: 'requested' },
  });
  assert.equal(code, 1);
  assert.match(out, /7\/load +requested\n8\/load +refused: a worker has the task \(task-running\)\n/);
  const many = await keelson(context, ['skip', 'load', '--workflow', 'daily'], {
    'POST instances/operations': bulk(item('8')),
  });
  assert.equal(many.code, 0, many.err);
  assert.deepEqual(many.calls[0]?.body, {
    operation: 'skip',
    task: 'load',
    filter: { project: 'default', workflow: 'daily' },
    dryRun: false,
    limit: 500,
  });
});

test('wrong usage is 2, and nothing is sent', async (context) => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['stop'], /no instance is named/],
    [['stop', '7', '8', '--wait'], /--wait and --follow are for one instance/],
    [['rerun', '7', '--from', 'a', '--only', 'b'], /exclude each other/],
    [['priority', '7', 'high'], /"high" is no priority/],
    [['priority', '7', '101'], /"101" is no priority/],
    [['priority', '5'], /no instance is named/],
    [['stop', '--state', 'runing'], /did you mean.*running/i],
    [['stop', '--created-from', 'yesterday'], /--created-from "yesterday" is no time/],
    [['skip', '7/load', '--workflow', 'daily'], /give the name of one task/],
    [['rerun', '7', '-p', 'oops'], /NAME=VALUE/],
  ];
  for (const [args, words] of wrong) {
    const { code, err, calls } = await keelson(context, args, {});
    assert.equal(code, 2, args.join(' '));
    assert.match(err, words);
    assert.deepEqual(calls, []);
  }
});

test('show says what was asked of the instance, when and by whom', async (context) => {
  const { code, out } = await keelson(context, ['show', '7'], {
    'GET instances/*': () =>
      sampleDetail([sampleTask('a', { state: 'ready', held: true })], { state: 'paused', generation: 2 }),
    'GET instances/*/history': ({ query }) => {
      assert.equal(query.get('asked'), 'true');
      return {
        items: [
          {
            id: '1',
            at: '2026-01-01T00:00:00Z',
            events: [
              { type: 'generation-created', generation: 2, mode: 'from', task: 'a', by: 'ann', version: '3' },
              { type: 'task-ready', task: 'a', attempt: 1 },
              { type: 'pause-requested', by: 'bob' },
            ],
          },
        ],
        next: null,
      };
    },
  });
  assert.equal(code, 0);
  assert.match(out, /instance 7 generation 2 {2}paused/);
  assert.match(out, /generation 2: rerun from a by ann\n.*pause by bob\n/);
  assert.match(out, /○ a {2}ready {2}held/);
});
