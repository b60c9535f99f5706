import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { runCli } from '../program.ts';
import { testFolder } from '../testing/folder.ts';
import type { Handler } from '../testing/test-api.ts';
import { noContent, testApi } from '../testing/test-api.ts';
import { testTerminal } from '../testing/test-terminal.ts';
import { parseExpiry } from './token.ts';

async function keelson(
  context: TestContext,
  args: readonly string[],
  handlers: Readonly<Record<string, Handler>>,
  stdin?: string,
) {
  const api = await testApi(context, handlers);
  const terminal = testTerminal({ env: api.env, ...(stdin !== undefined && { stdin }) });
  return { code: await runCli(args, terminal), out: terminal.out(), err: terminal.err(), calls: api.calls };
}

const put: Handler = (_call, response) => noContent(response);

test('a secret comes from standard input, without its last line end, and is never shown', async (context) => {
  const { code, out, err, calls } = await keelson(
    context,
    ['secret', 'set', 'KEY', '-p', 'demo'],
    { 'PUT projects/*/secrets/*': put },
    's3cret \n second\n',
  );
  assert.equal(code, 0);
  assert.equal(calls[0]?.path, 'projects/demo/secrets/KEY');
  assert.deepEqual(calls[0]?.body, { value: 's3cret \n second' });
  assert.doesNotMatch(out + err, /s3cret/);
});

test('an empty secret is refused before anything is sent', async (context) => {
  const { code, calls, err } = await keelson(context, ['secret', 'set', 'KEY'], {}, '\n');
  assert.equal(code, 2);
  assert.match(err, /a secret cannot be empty/);
  assert.deepEqual(calls, []);
});

test('a datasource: URL as an argument and password from standard input', async (context) => {
  const { code, calls } = await keelson(
    context,
    ['datasource', 'set', 'warehouse', 'postgresql://etl@db/sales', '--port', '6543', '--tls'],
    { 'PUT projects/*/datasources/*': put },
    'p@ss\n',
  );
  assert.equal(code, 0);
  assert.equal(calls[0]?.path, 'projects/default/datasources/warehouse');
  assert.deepEqual(calls[0]?.body, {
    kind: 'postgresql',
    host: 'db',
    port: 6543,
    database: 'sales',
    user: 'etl',
    tls: true,
    password: 'p@ss',
  });
});

test('a datasource: the whole URL from standard input, or only options', async (context) => {
  const whole = await keelson(
    context,
    ['datasource', 'set', 'w'],
    { 'PUT projects/*/datasources/*': put },
    'mysql://u:p%40ss@h/d\n',
  );
  assert.deepEqual(whole.calls[0]?.body, {
    kind: 'mysql',
    host: 'h',
    port: 3306,
    database: 'd',
    user: 'u',
    password: 'p@ss',
  });
  const options = await keelson(
    context,
    ['datasource', 'set', 'w', '--kind', 'mysql', '--host', 'h', '--database', 'd', '--user', 'u', '--no-password'],
    { 'PUT projects/*/datasources/*': put },
  );
  assert.deepEqual(options.calls[0]?.body, { kind: 'mysql', host: 'h', database: 'd', user: 'u' });
});

test('a datasource: a password on the command line and missing parts are refused, and no message repeats a password', async (context) => {
  const refused = async (args: readonly string[], stdin?: string) => {
    const { code, err, calls } = await keelson(context, ['datasource', 'set', ...args], {}, stdin);
    assert.equal(code, 2);
    assert.deepEqual(calls, []);
    assert.doesNotMatch(err, /hunter2/);
    return err;
  };
  assert.match(await refused(['w', 'postgresql://u:hunter2@h/d']), /the URL holds a password/);
  assert.match(await refused(['w', '--host', 'h', '--kind', 'mysql']), /lacks --database, --user/);
  assert.match(await refused(['w'], 'oracle://u:hunter2@h/d'), /expected postgresql:\/\//);
  assert.match(await refused(['w', '--kind', 'oracle']), /Allowed choices are postgresql, mysql/);
});

test('a datasource that does not answer is a failure with the words of the driver', async (context) => {
  const answer = {
    ok: false,
    elapsedMs: 3,
    serverVersion: null,
    error: { code: 'ECONNREFUSED', message: 'connection refused' },
  };
  const { code, err } = await keelson(context, ['datasource', 'test', 'w'], {
    'POST projects/*/datasources/*/test': () => answer,
  });
  assert.equal(code, 1);
  assert.equal(err, 'error: w: connection refused\n');
});

test('params: setting some keeps the others; deleting an unknown one names the nearest', async (context) => {
  const handlers: Record<string, Handler> = {
    'GET projects/*/params': () => ({ params: { region: 'eu', limit: 5 } }),
    'PUT projects/*/params': ({ body }) => body,
  };
  const set = await keelson(context, ['params', 'set', 'limit:=6', '-p', 'demo'], handlers);
  assert.deepEqual(set.calls[1]?.body, { params: { region: 'eu', limit: 6 } });
  const removed = await keelson(context, ['params', 'delete', 'region'], handlers);
  assert.deepEqual(removed.calls[1]?.body, { params: { limit: 5 } });
  const unknown = await keelson(context, ['params', 'delete', 'regoin'], handlers);
  assert.equal(unknown.code, 1);
  assert.equal(unknown.err, 'error: the project has no parameter "regoin"\nhelp: did you mean "region"?\n');
});

test('a token is the only thing on standard output', async (context) => {
  const { code, out, calls } = await keelson(context, ['token', 'create', '--role', 'worker', '--expires', '12h'], {
    'POST tokens': () => ({
      id: '3',
      name: 'worker',
      role: 'worker',
      createdAt: '2026-01-01T00:00:00Z',
      expiresAt: '2026-01-01T12:00:00Z',
      revokedAt: null,
      token: 'kls_abc',
    }),
  });
  assert.equal(code, 0);
  assert.equal(out, 'kls_abc\n');
  const body = calls[0]?.body as { name: string; role: string; expiresAt: string };
  assert.deepEqual([body.name, body.role], ['worker', 'worker']);
});

test('an expiry is a duration from now, or a time that is not over', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(parseExpiry('30d', now), '2026-01-31T00:00:00.000Z');
  assert.equal(parseExpiry('2026-06-01T00:00:00Z', now), '2026-06-01T00:00:00Z');
  assert.throws(() => parseExpiry('2025-06-01T00:00:00Z', now), { message: /that time is over/ });
  assert.throws(() => parseExpiry('soon', now), { exitCode: 2, message: /--expires "soon" is no time/ });
});

test('doctor: rows that break an invariant are a failure', async (context) => {
  const finding = (rows: Record<string, unknown>[]) => ({
    'GET doctor': () => ({
      healthy: rows.length === 0,
      findings: [{ name: 'no-driver', explanation: 'a row that nothing drives', rows }],
    }),
  });
  const good = await keelson(context, ['doctor'], finding([]));
  assert.deepEqual([good.code, good.out], [0, '✔ healthy: no row breaks any of 1 invariant\n']);
  const bad = await keelson(context, ['doctor'], finding([{ instance_id: '7' }]));
  assert.deepEqual([bad.code, bad.out], [1, '✖ no-driver: a row that nothing drives\n    {"instance_id":"7"}\n']);
});

test('verify: a violation is a failure, and bad options are refused before anything is asked', async (context) => {
  type Wrong = { instanceId: string; task: string | null; check: string; expected: string; found: string };
  const asked: string[] = [];
  const answer = (violations: Wrong[]) => ({
    'GET verify': ({ query }: { query: URLSearchParams }) => {
      asked.push(query.toString());
      return { instances: 2, events: 9, violations, more: false };
    },
  });
  const good = await keelson(context, ['verify', '--since', '2026-01-01T01:00:00+01:00'], answer([]));
  assert.deepEqual([good.code, good.out], [0, '✔ 2 instances, 9 events: the history says what the rows say\n']);
  assert.deepEqual(asked, ['since=2026-01-01T00%3A00%3A00.000Z']);
  const wrong = { instanceId: '7', task: 'a', check: 'ready', expected: '[]', found: 'no row' };
  const bad = await keelson(context, ['verify', '--instance', '7'], answer([wrong]));
  assert.equal(bad.code, 1);
  assert.match(
    bad.out,
    /✖ ready: instance 7, task a\n {4}expected \[\]\n {4}found {4}no row\n1 violation in 2 instances/,
  );
  for (const args of [
    ['--since', 'yesterday'],
    ['--instance', 'x'],
  ])
    assert.equal((await keelson(context, ['verify', ...args], answer([]))).code, 2);
});

test('doctor --fix: what was repaired, what is left and what to do about it', async (context) => {
  const left = {
    name: 'command-overdue',
    explanation: 'a command is applied',
    why: 'masters look',
    meaning: 'no master runs',
    repair: null,
    byHand: 'start one',
  };
  const answer = (rows: Record<string, unknown>[]) => ({
    'POST doctor/repair': () => ({
      repairs: [{ rule: 'instance-without-driver', instanceId: '7', message: 'command start given' }],
      left: { healthy: rows.length === 0, findings: [{ ...left, rows }] },
    }),
  });
  const mended = '✎ instance-without-driver: instance 7: command start given\n';
  const good = await keelson(context, ['doctor', '--fix'], answer([]));
  assert.deepEqual([good.code, good.out], [0, `${mended}✔ healthy: no row breaks any of 1 invariant\n`]);
  const bad = await keelson(context, ['doctor', '--fix'], answer([{ instanceId: '8' }]));
  const advice = '    never, because masters look\n    means: no master runs\n    by hand: start one\n';
  assert.deepEqual(
    [bad.code, bad.out],
    [1, `${mended}✖ command-overdue: a command is applied\n    {"instanceId":"8"}\n${advice}`],
  );
});

test('schema: the JSON Schema of definitions, without a server', async (context) => {
  const cwd = await testFolder(context, {});
  const terminal = testTerminal({ cwd });
  assert.equal(await runCli(['schema', '--out', 'keelson.schema.json'], terminal), 0);
  const document = JSON.parse(await readFile(join(cwd, 'keelson.schema.json'), 'utf8')) as { properties: object };
  assert.ok('tasks' in document.properties);
});
