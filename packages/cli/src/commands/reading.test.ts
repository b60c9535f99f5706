import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Instance, Why } from '@keelson/protocol';
import { runCli } from '../program.ts';
import { endedTask, sampleDetail, sampleInstance, sampleTask } from '../testing/sample-instance.ts';
import { refuse, sendEvents, testApi } from '../testing/test-api.ts';
import { testTerminal } from '../testing/test-terminal.ts';

function listed(id: string): Instance {
  const {
    taskCount: _count,
    counts: _counts,
    ...instance
  } = sampleInstance([], { id, state: 'succeeded', endedAt: '2026-01-01T00:01:04Z' });
  return { ...instance, taskCount: 0 };
}

const LOG_HEADERS = {
  'keelson-log-attempt': '2',
  'keelson-log-from': '0',
  'keelson-log-next': '0',
  'keelson-log-complete': 'true',
};

test('instances: a table of as many as are asked for, over several pages', async (context) => {
  const api = await testApi(context, {
    'GET instances': ({ query }) =>
      query.get('cursor') === null
        ? { items: [listed('3'), listed('2')], next: 'c' }
        : { items: [listed('1')], next: null },
  });
  const terminal = testTerminal({ env: api.env });
  assert.equal(await runCli(['instances', 'demo/daily', '--state', 'succeeded', '--limit', '2'], terminal), 0);
  assert.deepEqual(
    terminal
      .out()
      .split('\n')
      .slice(1, -1)
      .map((line) => line.slice(0, 32)),
    ['3   demo/daily v3  ✔ succeeded  ', '2   demo/daily v3  ✔ succeeded  '],
  );
  assert.match(terminal.out(), /1m 04s/);
  assert.match(terminal.err(), /There are more/);
  const { query } = api.calls[0] ?? assert.fail();
  assert.deepEqual(Object.fromEntries(query), { project: 'demo', workflow: 'daily', state: 'succeeded', limit: '2' });
});

test('instances: chosen by what began them and by their times; what is none is refused', async (context) => {
  const api = await testApi(context, { 'GET instances': () => ({ items: [listed('3')], next: null }) });
  const terminal = testTerminal({ env: api.env });
  const times = ['--created-to', '2026-03-02T00:00:00Z', '--run-from', '2026-03-01T00:00:00Z'];
  assert.equal(await runCli(['instances', '-p', 'demo', '--trigger', 'schedule', ...times], terminal), 0);
  const { query } = api.calls[0] ?? assert.fail();
  assert.deepEqual(Object.fromEntries(query), {
    project: 'demo',
    trigger: 'schedule',
    createdTo: '2026-03-02T00:00:00Z',
    runFrom: '2026-03-01T00:00:00Z',
    limit: '20',
  });
  assert.equal(await runCli(['instances', '--trigger', 'cron'], terminal), 2);
  assert.match(terminal.err(), /--trigger.*manual/s);
});

test('show: the tree, params, reason and outputs', async (context) => {
  const extract = endedTask('extract', 'succeeded');
  const load = endedTask('load', 'failed', {
    needs: ['extract'],
    reason: { code: 'exit-code', message: 'exit code 3' },
  });
  const api = await testApi(context, {
    'GET instances/*': () =>
      sampleDetail([extract, load], {
        state: 'failed',
        endedAt: '2026-01-01T00:00:09Z',
        reason: { code: 'task-failed', message: 'load: exit code 3' },
      }),
    'GET instances/*/history': () => ({ items: [], next: null }),
    'GET instances/*/tasks/*': ({ path }) => ({
      ...(path.endsWith('extract') ? extract : load),
      definition: {},
      outputs: path.endsWith('extract') ? { rows: 3 } : null,
      artifacts: path.endsWith('extract') ? [{ path: 'a.csv', sha256: 'a'.repeat(64), size: 2048, mode: 420 }] : [],
      attempts: [],
    }),
  });
  const terminal = testTerminal({ env: api.env });
  assert.equal(await runCli(['show', '7'], terminal), 0);
  assert.match(terminal.out(), /^✖ demo\/daily v3 {2}instance 7 {2}failed {2}9\.0s\n/);
  assert.match(
    terminal.out(),
    /reason: load: exit code 3 \(task-failed\)\n {2}params:\n {4}day = "2026-01-01"\n {2}tasks: 1 failed, 1 succeeded\n\n✔ extract {2}1\.5s\n✖ load {5}failed {2}1\.5s {2}exit code 3\n/,
  );
  assert.match(terminal.out(), /\nextract\n {2}outputs:\n {4}rows = 3\n {2}artifact: a\.csv {2}2\.0 KiB\n$/);
});

test('show: what was parked, and why', async (context) => {
  const api = await testApi(context, {
    'GET instances/*': () =>
      sampleDetail([], {
        state: 'failed',
        endedAt: '2026-01-01T00:00:09Z',
        reason: { code: 'command-parked', message: 'a command could not be applied 5 times: boom' },
      }),
    'GET instances/*/history': () => ({ items: [], next: null }),
    'GET instances/*/command-errors': () => ({
      items: [
        {
          commandId: '12',
          kind: 'start',
          payload: { x: 1 },
          tries: 5,
          error: 'boom',
          parkedAt: '2026-01-01T00:00:09Z',
        },
      ],
    }),
  });
  const terminal = testTerminal({ env: api.env });
  assert.equal(await runCli(['show', '7'], terminal), 0);
  assert.match(
    terminal.out(),
    /\nparked: start \(command 12\), tried 5 times.*\n {2}error: boom\n {2}payload: \{"x":1\}\n$/,
  );
});

test('logs: all parts of it, octet for octet; what is lost is said', async (context) => {
  const bytes = [Buffer.from([0x61, 0xff, 0x00]), Buffer.from('zz')];
  const api = await testApi(context, {
    'GET instances/*/tasks/*': () => ({
      ...endedTask('load', 'succeeded', { attempt: 2 }),
      definition: {},
      outputs: null,
      artifacts: [],
      attempts: [],
    }),
    'GET task-instances/*/log': ({ query }, response) => {
      const first = query.get('from') === '0';
      const headers = first
        ? { ...LOG_HEADERS, 'keelson-log-next': '3', 'keelson-log-complete': 'false' }
        : { ...LOG_HEADERS, 'keelson-log-from': '13', 'keelson-log-next': '15' };
      response.writeHead(200, headers).end(bytes[first ? 0 : 1]);
    },
  });
  const terminal = testTerminal({ env: api.env });
  const written: Buffer[] = [];
  terminal.stdout.write = ((chunk: Uint8Array) => {
    written.push(Buffer.from(chunk));
    return true;
  }) as typeof terminal.stdout.write;
  assert.equal(await runCli(['logs', '7/load'], terminal), 0);
  assert.deepEqual(Buffer.concat(written), Buffer.concat(bytes));
  assert.equal(terminal.err(), 'attempt 2; --attempt N shows an earlier one\n(10 B of the log were lost here)\n');
  assert.equal(api.calls[2]?.query.get('attempt'), '2', 'the attempt must not change in the middle');
});

test('logs -f: text as it comes, over attempts', async (context) => {
  const api = await testApi(context, {
    'GET task-instances/*/log': (_call, response) =>
      sendEvents(response, 'log', [
        { event: 'log', data: { attempt: 1, from: 0, next: 2, text: 'a\n' } },
        { event: 'log', data: { attempt: 2, from: 0, next: 2, text: 'b\n' } },
        { event: 'end', data: { attempt: 2, state: 'succeeded' } },
      ]),
  });
  const terminal = testTerminal({ env: api.env });
  assert.equal(await runCli(['logs', '7.1.load', '-f', '--tail', '5'], terminal), 0);
  assert.equal(terminal.out(), 'a\nb\n');
  assert.equal(terminal.err(), '── attempt 2 ──\n── attempt 2: the task succeeded ──\n');
  assert.equal(api.calls[0]?.query.get('tail'), '5');
});

test('why: words, code, since when, and what would help', async (context) => {
  const answer: Why = {
    instance: { id: '7', state: 'running', reasons: [] },
    tasks: [
      {
        id: '7.1.load',
        task: 'load',
        state: 'ready',
        reasons: [
          {
            code: 'no-worker-in-group',
            message: 'no live worker in group gpu',
            since: new Date(Date.now() - 65_000).toISOString(),
            details: { group: 'gpu' },
          },
        ],
      },
    ],
  };
  const api = await testApi(context, { 'GET instances/*/why': () => answer });
  const terminal = testTerminal({ env: api.env });
  assert.equal(await runCli(['why', '7'], terminal), 0);
  assert.match(
    terminal.out(),
    /^▶ instance 7 {2}running\n\n○ load {2}ready\n {2}no live worker in group gpu \(no-worker-in-group, for 1m 0\ds\)\n {2}help: start one: keelson worker --server URL --group gpu\n$/,
  );
  const json = testTerminal({ env: api.env });
  await runCli(['why', '7', '--json'], json);
  assert.deepEqual(JSON.parse(json.out()), answer);
});

test('stop --wait: 0 only if it was stopped', async (context) => {
  const end = (state: 'stopped' | 'succeeded') => ({
    'POST instances/*/stop': () => ({ id: '7', operation: 'stop', outcome: 'requested' }),
    'GET instances/*/events': (_call: unknown, response: Parameters<typeof sendEvents>[0]) =>
      sendEvents(response, 'live', [
        { event: 'snapshot', data: sampleDetail([sampleTask('a')], { state: 'stopping' }) },
        { event: 'end', data: sampleInstance([], { state, endedAt: '2026-01-01T00:00:02Z' }) },
      ]),
  });
  const stopped = testTerminal({ env: (await testApi(context, end('stopped'))).env });
  assert.equal(await runCli(['stop', '7', '--wait'], stopped), 0);
  const late = testTerminal({ env: (await testApi(context, end('succeeded'))).env });
  assert.equal(await runCli(['stop', '7', '--wait'], late), 1);
  assert.match(late.err(), /instance 7 was not stopped: it ended as succeeded before/);
});

test('an unknown id: the code of the API in JSON, words and help otherwise', async (context) => {
  const api = await testApi(context, {
    'GET instances/*': (_call, response) => refuse(response, 'unknown-instance', 'there is no instance "9"'),
  });
  const terminal = testTerminal({ env: api.env });
  assert.equal(await runCli(['show', '9'], terminal), 1);
  assert.equal(terminal.err(), 'error: there is no instance "9"\nhelp: `keelson instances` lists them.\n');
});
