import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';
import { taskOf } from '@keelson/core/testing';
import { openGatewayHouse, registration, until } from '../testing/gateway-house.ts';
import type { GatewayHouse, TestWorker } from '../testing/gateway-house.ts';
import { MOST_LOG_BYTES } from './own-log.ts';

const MEBIBYTE = 1024 * 1024;
/** Offers nothing that a task asks for, so that the tasks go to the other worker. */
const IDLE = { capabilities: ['nothing'] };
const complaints = ({ lines }: GatewayHouse, code: string) => lines.filter((line) => line.code === code);
const refused = ({ master }: GatewayHouse, code: string): number => master.metrics.callsRefused[code] ?? 0;

/** It goes on as if nothing had been. */
async function assertServes(house: GatewayHouse, worker: TestWorker, name: string): Promise<void> {
  const instance = await house.start(name, [taskOf('a')]);
  const token = await worker.take();
  const { status, body } = await worker.call('report', { reports: [worker.ended(token)] });
  assert.equal(status, 200, JSON.stringify(body));
  const [end] = await house.sql('select state from instance_end where instance_id = $1', [instance]);
  assert.equal(end?.state, 'succeeded');
}

test('a wrong, a revoked and a foreign join token: refused, counted, said once', async (t) => {
  const house = await openGatewayHouse(t);
  const { store, call } = house;
  const viewer = await store.tokens.create({ name: 'v', role: 'viewer' });
  for (let tries = 0; tries < 20; tries++) {
    const { status, body } = await call('register', 'no-token', registration('w'));
    assert.deepEqual([status, body.code], [401, 'unauthenticated']);
  }
  const foreign = await call('register', viewer.token, registration('w'));
  assert.deepEqual([foreign.status, foreign.body.code], [403, 'forbidden']);
  await store.tokens.revoke((await store.tokens.list()).find(({ name }) => name === 'w')?.id ?? '');
  const revoked = await call('register', house.joinToken, registration('w'));
  assert.deepEqual([revoked.status, revoked.body.code], [401, 'unauthenticated']);
  assert.equal(refused(house, 'unauthenticated'), 21);
  assert.equal(complaints(house, 'unauthenticated').length, 1);
});

test('a made-up credential: refused on every route', async (t) => {
  const house = await openGatewayHouse(t);
  const worker = await house.join('w1');
  const other = `${worker.id}.${'x'.repeat(43)}`;
  for (const credential of ['', 'x', other, `999999.${'x'.repeat(43)}`, `${'9'.repeat(30)}.x`]) {
    for (const path of ['poll', 'report', 'renew', 'leave', 'log?token=x&offset=0']) {
      const { status, body } = await house.call(path, credential, {});
      assert.deepEqual([path, status, body.code], [path, 410, 'unknown-incarnation']);
    }
  }
  assert.equal(complaints(house, 'unknown-incarnation').length, 1);
  await assertServes(house, worker, 'after');
});

test("a report for another's attempt, under an old token, or for a task that has ended: of no consequence", async (t) => {
  const house = await openGatewayHouse(t);
  const instance = await house.start('w', [taskOf('a'), taskOf('b', ['a'])]);
  const owner = await house.join('owner', { slots: 1 });
  const token = await owner.take();
  const thief = await house.join('thief', IDLE);
  const parts = token.split('.');
  const forged = [
    token,
    [...parts.slice(0, 5), thief.id, parts[6]].join('.'),
    [...parts.slice(0, 5), thief.id, 'AAAAAAAAAAAA'].join('.'),
    'no token at all',
  ];
  for (const stolen of forged) {
    const { status } = await thief.call('report', { reports: [thief.ended(stolen, { outputs: { x: '1' } })] });
    assert.equal(status, 200);
    await thief.call('report', { reports: [{ kind: 'started', token: stolen, startedAgoMs: 1 }] });
  }
  const wrongNonce = [...parts.slice(0, 6), 'AAAAAAAAAAAA'].join('.');
  await owner.call('report', { reports: [owner.ended(wrongNonce)] });
  assert.equal((await house.sql('select from active where instance_id = $1', [instance])).length, 1);
  assert.equal(house.master.metrics.reportsRefused, 4);
  assert.equal(complaints(house, 'foreign-token').length, 1);

  const first = await owner.call('report', { reports: [owner.ended(token, { outputs: { x: '1' } })] });
  assert.equal(first.status, 200);
  for (let again = 0; again < 3; again++) {
    const { body } = await owner.call('report', { reports: [owner.ended(token, { end: 'failed' })] });
    assert.deepEqual(body['acknowledged'], [token]);
  }
  const rows = await house.sql('select state, outputs from finished_task where instance_id = $1 and task = $2', [
    instance,
    'a',
  ]);
  assert.deepEqual(rows, [{ state: 'succeeded', outputs: { x: '1' } }]);
  const history = await house.sql(
    `select from history, jsonb_array_elements(events) event where instance_id = $1 and event->>'task' = 'a' and event->>'type' like '%ended%'`,
    [instance],
  );
  assert.ok(history.length <= 1, 'the end stands once in the history');
});

test('garbage: refused with its place, and nothing breaks', async (t) => {
  const house = await openGatewayHouse(t);
  const worker = await house.join('w1');
  const bad: readonly (readonly [body: string | Uint8Array, status: number, code: string])[] = [
    ['', 400, 'malformed-body'],
    ['{"reports":', 400, 'malformed-body'],
    [Uint8Array.from([0xff, 0xfe, 0x00, 0x80]), 400, 'malformed-body'],
    ['null', 422, 'invalid-request'],
    ['[]', 422, 'invalid-request'],
    ['{"reports":"many"}', 422, 'invalid-request'],
    ['{"reports":[{"kind":"ended","token":7}]}', 422, 'invalid-request'],
    [`{"reports":[],"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 422, 'invalid-request'],
    ['{"reports":[{"kind":"started","token":"a","startedAgoMs":-1}]}', 422, 'invalid-request'],
    ['{"reports":[{"kind":"started","token":"a","startedAgoMs":1e999}]}', 422, 'invalid-request'],
    [
      JSON.stringify({ reports: [{ kind: 'started', token: 'x'.repeat(300), startedAgoMs: 1 }] }),
      422,
      'invalid-request',
    ],
    [
      JSON.stringify({
        reports: Array.from({ length: 1001 }, () => ({ kind: 'started', token: 'x', startedAgoMs: 1 })),
      }),
      422,
      'invalid-request',
    ],
    ['{"__proto__":{"reports":[]}}', 400, 'malformed-body'],
  ];
  for (const [body, status, code] of bad) {
    const answer = await worker.call('report', body);
    const shown = typeof body === 'string' ? body.slice(0, 60) : 'bytes';
    assert.deepEqual([shown, answer.status, answer.body.code], [shown, status, code]);
  }
  const held = Array(60_000).fill('1.a.1.1.1.1.n');
  const tooMany = await worker.call('renew', { held });
  assert.deepEqual([tooMany.status, tooMany.body.code], [422, 'invalid-request']);
  const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
  const said = JSON.stringify({ reports: [worker.ended('1.a.1.1.1.1.n', { outputs: { deep: 0 } })] });
  const nested = await worker.call('report', said.replace('"deep":0', `"deep":${deep}`));
  assert.ok([200, 422].includes(nested.status), `a deep output: ${nested.status}`);
  assert.ok(complaints(house, 'invalid-request').length <= 1 && complaints(house, 'malformed-body').length <= 1);
  assert.deepEqual(
    house.lines.filter(({ level }) => level >= 50),
    [],
  );
  await assertServes(house, worker, 'after');
});

/** Sends a body that never ends, or says that it is huge, and counts what the server took before it answered or closed. */
function pour(house: GatewayHouse, worker: TestWorker, request: string, headers: string) {
  return new Promise<{ readonly answer: string; readonly sent: number }>((resolve) => {
    let answer = '';
    let sent = 0;
    let over = false;
    const socket = connect(house.port, '127.0.0.1');
    const chunk = Buffer.alloc(64 * 1024, 0x20);
    const framed = headers.includes('chunked')
      ? Buffer.concat([Buffer.from('10000\r\n'), chunk, Buffer.from('\r\n')])
      : chunk;
    const more = (): void => {
      while (!over && sent < 1024 * MEBIBYTE) {
        sent += chunk.length;
        if (!socket.write(framed)) return;
      }
    };
    socket.on('drain', more);
    socket.on('data', (data) => {
      answer += data.toString();
      over = true;
      socket.end();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      over = true;
      resolve({ answer, sent });
    });
    socket.write(`${request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${worker.credential}\r\n${headers}\r\n\r\n`);
    more();
  });
}

test('a report of 1 GB: refused early, and never held in memory', async (t) => {
  const house = await openGatewayHouse(t);
  const worker = await house.join('w1');
  const before = process.memoryUsage().rss;
  const said = await pour(
    house,
    worker,
    'POST /worker/v1/report',
    `content-type: application/json\r\ncontent-length: ${1024 * MEBIBYTE}`,
  );
  assert.match(said.answer, /^HTTP\/1.1 (413|429) /);
  assert.ok(said.sent < 64 * MEBIBYTE, `it took ${said.sent} bytes`);
  const unsaid = await pour(
    house,
    worker,
    'POST /worker/v1/report',
    'content-type: application/json\r\ntransfer-encoding: chunked',
  );
  // The answer may be lost with the connection, on which more of the body was under way.
  assert.match(unsaid.answer, /^(HTTP\/1.1 413 .*)?$/s);
  assert.ok(unsaid.sent < 128 * MEBIBYTE, `it took ${unsaid.sent} bytes`);
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 400 * MEBIBYTE, `the process grew by ${Math.round(grown / MEBIBYTE)} MiB`);
  await until('both are counted', () => refused(house, 'body-too-large') === 2);
  await assertServes(house, worker, 'after');
});

test('bodies under way are bounded for each worker, and freed with their connections', async (t) => {
  const house = await openGatewayHouse(t);
  const [greedy, other] = [await house.join('greedy', IDLE), await house.join('other')];
  let answer = '';
  const open = Array.from({ length: 3 }, () => {
    const socket = connect(house.port, '127.0.0.1');
    socket.on('error', () => undefined);
    t.after(() => void socket.destroy());
    socket.on('data', (data) => (answer += data.toString()));
    socket.write(
      `POST /worker/v1/report HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${greedy.credential}\r\ncontent-type: application/json\r\ncontent-length: ${60 * MEBIBYTE}\r\n\r\n{`,
    );
    return socket;
  });
  await until('the third is refused', () => refused(house, 'too-many-requests') === 1 && answer !== '');
  assert.match(answer, /^HTTP\/1.1 429 .*retry-after: 1\r\n/s);
  await assertServes(house, other, 'other');
  for (const socket of open) socket.destroy();
  await until('what was under way is forgotten', async () => {
    const { status } = await greedy.call('report', {
      reports: [greedy.ended('x', { log: { offset: 0, data: 'A'.repeat(30 * MEBIBYTE) } })],
    });
    return status === 200;
  });
});

test('10,000 reports a second of one worker: refused beyond its share, and the others go on', async (t) => {
  const house = await openGatewayHouse(t);
  const [flood, other] = [await house.join('flood', IDLE), await house.join('other')];
  let over = false;
  const answers = new Map<number, number>();
  const retryAfter = new Set<string | null>();
  let attempt = 0;
  const madeUp = (): object => flood.ended(`1.a.1.1.${++attempt}.${flood.id}.nonce`);
  const since = performance.now();
  const worker = async (): Promise<void> => {
    while (!over) {
      const reports = Array.from({ length: 200 }, madeUp);
      const { status, headers } = await flood.call('report', { reports });
      answers.set(status, (answers.get(status) ?? 0) + reports.length);
      if (status === 429) retryAfter.add(headers.get('retry-after'));
    }
  };
  const flooding = Array.from({ length: 32 }, worker);
  for (let round = 0; round < 5; round++) await assertServes(house, other, `other-${round}`);
  over = true;
  await Promise.all(flooding);
  const perSecond = Math.round((1000 * attempt) / (performance.now() - since));
  t.diagnostic(`${perSecond} reports a second; by status: ${JSON.stringify([...answers])}`);
  assert.deepEqual(new Set(answers.keys()), new Set([200, 429]));
  assert.deepEqual([...retryAfter], ['1']);
  assert.ok(complaints(house, 'too-many-requests').length <= 1);
  const { status } = await flood.call('renew', { held: [] });
  assert.equal(status, 200, 'its renewals are not refused');
});

test('two workers with one name, and a host name that changes: the older one drains and keeps what it has', async (t) => {
  const house = await openGatewayHouse(t);
  await house.start('w', [taskOf('a'), taskOf('b', ['a'])]);
  const older = await house.join('same');
  const token = await older.take();
  const { body, status } = await house.call(
    'register',
    house.joinToken,
    registration('same', { host: 'host-2', pid: 2 }),
  );
  assert.equal(status, 200);
  assert.notEqual(body['incarnation'], older.id);
  const poll = (waitMs: number) =>
    house.call('poll', String(body['credential']), { held: [], waitMs, draining: false });
  await poll(0);
  assert.equal((await older.call('renew', { held: [token] })).status, 200);
  const { body: answer } = await older.call('report', { reports: [older.ended(token)] });
  assert.deepEqual([answer['acknowledged'], answer['assignments']], [[token], []]);
  const { body: next } = await poll(5000);
  assert.equal((next['assignments'] as unknown[]).length, 1, 'the newer one gets the next task');
  await until('the database knows it too', async () => {
    const rows = await house.sql('select host, state from worker_incarnation where name = $1 order by id', ['same']);
    return JSON.stringify(rows.map(({ host, state }) => [host, state])) === '[["host-1","draining"],["host-2","live"]]';
  });
});

test('a blob with a wrong hash leaves nothing; one that stops coming is given up', async (t) => {
  const house = await openGatewayHouse(t);
  const worker = await house.join('w1');
  const put = (name: string, body: string) =>
    fetch(`${house.url}blobs/${name}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${worker.credential}`, 'content-type': 'application/octet-stream' },
      body,
    });
  const name = createHash('sha256').update('right').digest('hex');
  const wrong = await put(name, 'wrong');
  assert.equal(wrong.status, 422);
  assert.equal(((await wrong.json()) as { code: string }).code, 'hash-mismatch');
  assert.equal((await put('not-a-hash', 'x')).status, 422);
  assert.equal((await put(name, 'right')).status, 204);
  const other = createHash('sha256').update('endless').digest('hex');
  const socket = connect(house.port, '127.0.0.1');
  t.after(() => void socket.destroy());
  socket.write(
    `PUT /worker/v1/blobs/${other} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${worker.credential}\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n`,
  );
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.destroy();
  await until(
    'nothing of the broken upload is left',
    async () => (await house.sql("select from blob_chunk where sha256 like 'upload:%'")).length === 0,
  );
  assert.deepEqual(await house.sql('select sha256 from blob'), [{ sha256: name }]);
});

test('a log: only under a token of its own, within bounds, and still when its attempt has ended', async (t) => {
  const house = await openGatewayHouse(t);
  await house.start('w', [taskOf('a')]);
  const owner = await house.join('owner');
  const token = await owner.take();
  const octets = { headers: { 'content-type': 'application/octet-stream' } };
  const log = async (worker: TestWorker, under: string, offset: number, bytes: Uint8Array) =>
    (
      await house.call(`log?token=${encodeURIComponent(under)}&offset=${offset}`, worker.credential, bytes, {
        headers: { authorization: `Bearer ${worker.credential}`, ...octets.headers },
      })
    ).status;
  const thief = await house.join('thief', IDLE);
  const parts = token.split('.');
  const line = Buffer.from('line\n');
  assert.equal(await log(owner, token, 0, line), 204);
  assert.equal(await log(thief, token, 5, line), 403);
  assert.equal(await log(thief, [...parts.slice(0, 5), thief.id, parts[6]].join('.'), 5, line), 403);
  assert.equal(await log(owner, [...parts.slice(0, 6), 'AAAAAAAAAAAA'].join('.'), 5, line), 403);
  assert.equal(await log(owner, token, MOST_LOG_BYTES - 2, line), 413);
  assert.equal(await log(owner, token, 5, Buffer.alloc(3 * MEBIBYTE)), 413);
  await owner.call('report', { reports: [owner.ended(token)] });
  assert.equal(await log(owner, token, 5, line), 204, 'its last piece may come late');
  const [stored] = await house.sql(
    'select sum(size)::int as bytes, count(distinct attempt_id)::int as attempts from log_chunk',
  );
  assert.deepEqual(stored, { bytes: 10, attempts: 1 });
});

test('a start is acknowledged when it is stored, and not before', async (t) => {
  const house = await openGatewayHouse(t);
  const instance = await house.start('w', [taskOf('a', [], { timeout: { afterMs: 60_000, action: 'warn' } })]);
  const worker = await house.join('w1');
  const token = await worker.take();
  const free = await house.hold('select from active where instance_id = $1 for update', [instance]);
  let answered = false;
  const report = worker.call('report', { reports: [{ kind: 'started', token, startedAgoMs: 1 }] });
  const told = report.then(() => (answered = true));
  const waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
  await until('it waits to be stored', async () => (await house.sql(waits)).length > 0);
  await worker.call('renew', { held: [token] });
  assert.equal(answered, false);
  await free();
  await told;
  const [row] = await house.sql('select state, timeout_at is not null as watched from active where instance_id = $1', [
    instance,
  ]);
  assert.deepEqual(row, { state: 'running', watched: true });
});

test('a report whose outputs are too large fails its task', async (t) => {
  const house = await openGatewayHouse(t);
  const instance = await house.start('w', [taskOf('a')]);
  const worker = await house.join('w1');
  const token = await worker.take();
  const outputs = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`o${index}`, 'x'.repeat(60_000)]));
  await worker.call('report', { reports: [worker.ended(token, { outputs })] });
  const [end] = await house.sql("select state, reason->>'code' as code from finished_task where instance_id = $1", [
    instance,
  ]);
  assert.deepEqual(end, { state: 'failed', code: 'bad-output' });
});
