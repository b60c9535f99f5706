import assert from 'node:assert/strict';
import { test } from 'node:test';
import { databaseUrl, onDatabase } from './database-access.ts';
import { listenFailure, parseListen } from './listen-address.ts';
import { parseTaskName, parseWorkflowName } from './names.ts';
import { runCli } from './program.ts';
import { readableLine } from './server-log.ts';
import { testTerminal } from './testing/test-terminal.ts';

test('addresses to listen on', () => {
  assert.deepEqual(parseListen('127.0.0.1:7400'), { host: '127.0.0.1', port: 7400 });
  assert.deepEqual(parseListen('[::1]:0'), { host: '::1', port: 0 });
  assert.deepEqual(parseListen(':80'), { host: '0.0.0.0', port: 80 });
  for (const bad of ['7400', 'host', 'host:99999', '::1:80', 'http://h:80', ''])
    assert.throws(() => parseListen(bad), { exitCode: 2 }, bad);
  const inUse = listenFailure(Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE' }), {
    host: 'h',
    port: 1,
  });
  const notAllowed = (syscall: string) =>
    listenFailure(Object.assign(new Error(`EACCES: ${syscall}`), { code: 'EACCES', syscall }), { host: 'h', port: 1 });
  assert.match(String(notAllowed('listen')), /may not listen on port 1/);
  assert.match(String(notAllowed('mkdir')), /EACCES: mkdir/);
  assert.ok(inUse instanceof Error && inUse.message === 'port 1 on h is in use by another process');
});

test('names of workflows and tasks', () => {
  assert.deepEqual(parseWorkflowName('daily'), { project: 'default', workflow: 'daily' });
  assert.deepEqual(parseWorkflowName('demo/daily'), { project: 'demo', workflow: 'daily' });
  assert.deepEqual(parseTaskName('7/load'), { kind: 'task', instanceId: '7', task: 'load' });
  assert.deepEqual(parseTaskName('7.1.load'), { kind: 'id', id: '7.1.load' });
  for (const bad of ['/', 'a/', '/b', '', '..', '../x', "x' or 1=1", 'A'])
    assert.throws(() => parseWorkflowName(bad), { exitCode: 2 }, bad);
  for (const bad of ['7/', '/a', '7/a/b']) assert.throws(() => parseTaskName(bad), { exitCode: 2 }, bad);
});

test('a database that cannot be reached or entered: one line, without its password', async () => {
  const url = 'postgresql://u:hunter2@db:5432/keelson';
  const fail = (error: Error) =>
    onDatabase(url, async () => {
      throw error;
    });
  const refused = Object.assign(
    new AggregateError([Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })]),
    { code: 'ECONNREFUSED' },
  );
  await assert.rejects(fail(refused), {
    exitCode: 3,
    message: 'cannot use the database at db:5432/keelson: ECONNREFUSED',
  });
  await assert.rejects(
    fail(Object.assign(new Error('password authentication failed for user "u"'), { code: '28P01' })),
    { exitCode: 3, message: /password authentication failed/ },
  );
  await assert.rejects(fail(new Error('timeout expired')), { exitCode: 3, message: /timeout expired/ });
  const unknownHost = (hostname: string) =>
    Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), {
      code: 'ENOTFOUND',
      syscall: 'getaddrinfo',
      hostname,
    });
  await assert.rejects(fail(unknownHost('db')), { exitCode: 3, message: /ENOTFOUND db/ });
  const notOfDatabase = [
    new Error('the schema is newer'),
    unknownHost('999.0.0.1'),
    Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT', syscall: 'mkdir' }),
  ];
  for (const other of notOfDatabase) await assert.rejects(fail(other), other);
  const listen = listenFailure(unknownHost('999.0.0.1'), { host: '999.0.0.1', port: 1 });
  assert.ok(listen instanceof Error && listen.message === '999.0.0.1 is no address of this machine');
  assert.throws(() => databaseUrl(testTerminal(), 'mysql://x/y'), { exitCode: 2 });
});

test('serve and worker name what they lack, before anything is started', async () => {
  const line = async (args: readonly string[], env: Record<string, string> = {}) => {
    const terminal = testTerminal({ env });
    return [await runCli(args, terminal), terminal.err().split('\n')[0]];
  };
  assert.deepEqual(await line(['serve']), [
    2,
    'error: which database? Give --database-url, or set KEELSON_DATABASE_URL',
  ]);
  const database = { KEELSON_DATABASE_URL: 'postgresql://h/d' };
  assert.deepEqual(await line(['serve'], database), [
    1,
    'error: there is no key to encrypt secrets with: set KEELSON_SECRET_KEY or KEELSON_SECRET_KEY_FILE',
  ]);
  assert.deepEqual(await line(['worker']), [2, 'error: which server? Give --server URL, or set KEELSON_URL']);
  assert.deepEqual(await line(['worker', '--server', 'http://h']), [
    4,
    'error: a worker needs a token: set KEELSON_TOKEN or give --token-file',
  ]);
  const bad = ['serve', '--advertise', 'a:7400'];
  assert.deepEqual(await line(bad, { ...database, KEELSON_SECRET_KEY: 'x' }), [
    2,
    'error: --advertise "a:7400" is no http or https URL',
  ]);
  assert.deepEqual(await line(['worker', '--server', 'http://a,b'], { KEELSON_TOKEN: 'x' }), [
    2,
    'error: --server "b" is no http or https URL',
  ]);
});

test('a log line for a person', () => {
  const line = JSON.stringify({
    level: 40,
    time: Date.parse('2026-01-01T00:00:00'),
    role: 'master',
    msg: 'trouble',
    err: { message: 'gone' },
    n: 3,
  });
  assert.equal(
    readableLine(line, (_style, text) => text),
    '00:00:00 warn  master: trouble: gone (n=3)',
  );
  assert.equal(
    readableLine('no json\n', (_style, text) => text),
    'no json',
  );
});

test('what commander refuses is JSON too, where JSON was asked for', async () => {
  const cases = [['nope'], ['run'], ['run', 'a', '--bogus'], ['dev', '--data', ''], ['worker', '--group', 'a b']];
  for (const args of cases) {
    const json = testTerminal();
    assert.equal(await runCli([...args, '--json'], json), 2);
    const { error } = JSON.parse(json.err()) as { error: { code: string; message: string } };
    assert.equal(error.code, 'usage');
    assert.doesNotMatch(error.message, /^error:/);
    const people = testTerminal();
    assert.equal(await runCli(args, people), 2);
    assert.match(people.err(), /^error: /);
  }
});
