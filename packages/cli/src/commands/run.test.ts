import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { LiveEvent, TaskInstance } from '@keelson/protocol';
import { runCli } from '../program.ts';
import { endedTask, sampleDetail, sampleInstance, sampleTask } from '../testing/sample-instance.ts';
import type { Handler } from '../testing/test-api.ts';
import { refuse, sendEvents, testApi } from '../testing/test-api.ts';
import type { TestTerminalOptions } from '../testing/test-terminal.ts';
import { testTerminal } from '../testing/test-terminal.ts';

const STARTED = {
  id: '7',
  project: 'demo',
  workflow: 'daily',
  version: 3,
  runTime: '2026-01-01T00:00:00Z',
  priority: 0,
  params: {},
};
const ENDED_AT = '2026-01-01T00:00:09Z';

const extract = endedTask('extract', 'succeeded');
const load = (state: TaskInstance['state'], values: Partial<TaskInstance> = {}) =>
  endedTask('load', state, { needs: ['extract'], ...values });

function life(end: 'succeeded' | 'failed', last: TaskInstance): LiveEvent[] {
  const reason = end === 'failed' ? { code: 'task-failed', message: 'task load failed' } : null;
  return [
    { event: 'snapshot', data: sampleDetail([sampleTask('extract'), sampleTask('load', { needs: ['extract'] })]) },
    { event: 'task', data: extract },
    { event: 'task', data: load('running', { endedAt: null }) },
    { event: 'instance', data: sampleInstance([extract, last]) },
    { event: 'task', data: last },
    { event: 'end', data: sampleInstance([extract, last], { state: end, endedAt: ENDED_AT, reason }) },
  ];
}

async function run(
  context: TestContext,
  args: readonly string[],
  handlers: Readonly<Record<string, Handler>>,
  options: TestTerminalOptions = {},
) {
  const api = await testApi(context, { 'POST projects/*/workflows/*/instances': () => STARTED, ...handlers });
  const terminal = testTerminal({ ...options, env: { ...api.env, ...options.env } });
  return { code: await runCli(['run', ...args], terminal), out: terminal.out(), err: terminal.err(), calls: api.calls };
}

test('starts, and prints the id', async (context) => {
  const { code, out, calls } = await run(
    context,
    [
      'demo/daily',
      '-p',
      'day=2026-01-01',
      '-p',
      'n:=2',
      '--at',
      '2026-01-01T00:00:00Z',
      '--priority',
      '-5',
      '--version',
      '3',
      '--idempotency-key',
      'k',
    ],
    {},
  );
  assert.equal(code, 0);
  // The handler answers 200: the key had started it before.
  assert.equal(out, 'Already started: instance 7 of demo/daily v3\n');
  assert.equal(calls[0]?.path, 'projects/demo/workflows/daily/instances');
  assert.deepEqual(calls[0]?.body, {
    params: { day: '2026-01-01', n: 2 },
    runTime: '2026-01-01T00:00:00Z',
    version: 3,
    priority: -5,
  });
  assert.equal(calls[0]?.headers['idempotency-key'], 'k');
});

test('--wait in a pipe: a line for each change; 0 when it succeeded', async (context) => {
  const { code, out } = await run(context, ['demo/daily', '--wait'], {
    'GET instances/*/events': (_call, response) => sendEvents(response, 'live', life('succeeded', load('succeeded'))),
  });
  assert.equal(code, 0);
  assert.deepEqual(
    out
      .split('\n')
      .slice(0, -2)
      .map((line) => line.replace(/ {2}[\d.]+m?s?.*$/, '')),
    ['✔ extract', '▶ load  running', '✔ load'],
  );
  assert.match(out, /✔ demo\/daily v3 {2}instance 7 {2}succeeded {2}9\.0s\n$/);
});

test('--wait and it fails: the reason, the last log lines, where to see more, and 1', async (context) => {
  const failed = load('failed', { attempt: 2, maxAttempts: 2, reason: { code: 'exit-code', message: 'exit code 3' } });
  const { code, out } = await run(context, ['demo/daily', '--wait'], {
    'GET instances/*/events': (_call, response) => sendEvents(response, 'live', life('failed', failed)),
    'GET instances/*': () =>
      sampleDetail([extract, failed], {
        state: 'failed',
        endedAt: ENDED_AT,
        reason: { code: 'task-failed', message: 'task load failed' },
      }),
    'GET task-instances/*/log': ({ query }, response) => {
      assert.equal(query.get('tail'), '10');
      response
        .writeHead(200, {
          'keelson-log-attempt': '2',
          'keelson-log-from': '0',
          'keelson-log-next': '9',
          'keelson-log-complete': 'true',
        })
        .end('one\ntwo\n\n');
    },
  });
  assert.equal(code, 1);
  assert.match(out, /✖ load failed after 2 attempts: exit code 3 \(exit-code\)\n {2}│ one\n {2}│ two\n/);
  assert.match(out, /all of it: keelson logs 7\/load\n/);
  assert.match(out, /more: keelson show 7 {3}keelson why 7 {3}go on from there: keelson recover 7\n$/);
});

test('--follow prints the logs of all tasks, each line with its task', async (context) => {
  const { code, out } = await run(context, ['demo/daily', '--follow'], {
    'GET instances/*/events': (_call, response) => sendEvents(response, 'live', life('succeeded', load('succeeded'))),
    'GET task-instances/*/log': ({ path, query }, response) => {
      assert.equal(query.get('follow'), 'true');
      const text = path.includes('extract') ? 'half a li' : 'loading\nno end';
      sendEvents(response, 'log', [
        { event: 'log', data: { attempt: 1, from: 0, next: text.length, text } },
        ...(path.includes('extract') ? [{ event: 'log', data: { attempt: 1, from: 9, next: 12, text: 'ne\n' } }] : []),
        { event: 'end', data: { attempt: 1, state: 'succeeded' } },
      ]);
    },
  });
  assert.equal(code, 0);
  for (const line of ['extract | half a line', 'load | loading', 'load | no end'])
    assert.ok(out.split('\n').includes(line), `${line} in ${out}`);
});

test('--wait --json prints the instance and nothing else', async (context) => {
  const { code, out } = await run(context, ['demo/daily', '--wait', '--json'], {
    'GET instances/*/events': (_call, response) => sendEvents(response, 'live', life('succeeded', load('succeeded'))),
    'GET instances/*': () => sampleDetail([extract, load('succeeded')], { state: 'succeeded', endedAt: ENDED_AT }),
  });
  assert.equal(code, 0);
  assert.equal((JSON.parse(out) as { state: string }).state, 'succeeded');
});

test('--wait on a terminal draws the tree in place', async (context) => {
  const { code, out } = await run(
    context,
    ['demo/daily', '--wait'],
    {
      'GET instances/*/events': (_call, response) => sendEvents(response, 'live', life('succeeded', load('succeeded'))),
    },
    { tty: { columns: 60, rows: 20 } },
  );
  assert.equal(code, 0);
  assert.match(out, /✔ demo\/daily v3 {2}instance 7 {2}succeeded {2}9\.0s\n✔ extract {2}1\.5s\n✔ load {5}1\.5s\n/);
});

test('Ctrl-C while waiting says that the instance goes on, and leaves with 130', async (context) => {
  const api = await testApi(context, {
    'POST projects/*/workflows/*/instances': () => STARTED,
    'GET instances/*/events': (_call, response) => {
      const [snapshot] = life('succeeded', extract);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`event: snapshot\ndata: ${JSON.stringify(snapshot?.data)}\n\n`, () => {
        terminal.signal('SIGINT');
        response.end(
          `event: end\ndata: ${JSON.stringify(sampleInstance([], { state: 'succeeded', endedAt: ENDED_AT }))}\n\n`,
        );
      });
    },
  });
  const terminal = testTerminal({ env: api.env });
  await runCli(['run', 'demo/daily', '--wait'], terminal);
  assert.deepEqual(terminal.exits, [130]);
  assert.match(terminal.err(), /Instance 7 goes on\..*Stop it: keelson stop 7/);
});

test('refusals: parameters by name, unknown workflow, no access, no server', async (context) => {
  const params = await run(context, ['daily', '-p', 'dya=1'], {
    'POST projects/*/workflows/*/instances': (_call, response) =>
      refuse(response, 'invalid-params', 'the parameters do not fit', {
        errors: [
          { path: 'params.dya', code: 'unknown-param', message: 'there is no parameter "dya": did you mean "day"?' },
        ],
      }),
  });
  assert.equal(params.code, 1);
  assert.equal(
    params.err,
    'error: the parameters do not fit\n  params.dya: there is no parameter "dya": did you mean "day"?\n',
  );
  const unknown = await run(context, ['daliy', '--json'], {
    'POST projects/*/workflows/*/instances': (_call, response) =>
      refuse(response, 'unknown-workflow', 'project default has no workflow daliy'),
  });
  assert.equal(unknown.code, 1);
  assert.equal((JSON.parse(unknown.err) as { error: { code: string } }).error.code, 'unknown-workflow');
  const refused = await run(context, ['daily'], {
    'POST projects/*/workflows/*/instances': (_call, response) =>
      refuse(response, 'forbidden', 'the role viewer may not start'),
  });
  assert.equal(refused.code, 4);
  const none = testTerminal();
  assert.equal(await runCli(['run', 'daily'], none), 3);
  assert.match(none.err(), /^error: no Keelson is known: .*\nhelp: start one with `keelson dev`/);
  const closed = testTerminal({ env: { KEELSON_URL: 'http://127.0.0.1:1', KEELSON_TOKEN: 't' } });
  assert.equal(await runCli(['run', 'daily'], closed), 3);
  assert.match(closed.err(), /^error: cannot reach Keelson at http:\/\/127\.0\.0\.1:1: /);
});

test('wrong usage is 2 and names what is wrong', async () => {
  const err = async (...args: string[]) => {
    const terminal = testTerminal();
    assert.equal(await runCli(args, terminal), 2, args.join(' '));
    return terminal.err();
  };
  assert.match(await err('run'), /missing required argument 'name'/);
  assert.match(await err('run', 'a/b/c'), /"a\/b\/c" is no name of a workflow/);
  assert.match(await err('run', 'a', '--priority', '101'), /It must be an integer from -100 to 100/);
  assert.match(await err('run', 'a', '--wiat'), /unknown option '--wiat'\n\(Did you mean --wait\?\)/);
  assert.match(await err('rnu', 'a'), /unknown command 'rnu'\n\(Did you mean run\?\)/);
});
