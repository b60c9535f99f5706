import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import type { ApiHarness } from '../testing/harness.ts';
import { apiHarness, DAILY, YAML } from '../testing/harness.ts';

interface SentEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Record<string, unknown> & { readonly state?: string; readonly task?: string; readonly text?: string };
}

interface Stage extends ApiHarness {
  readonly base: string;
  readonly id: string;
  /** Runs SQL as the master would, were there one. */
  sql(text: string, values?: unknown[]): Promise<void>;
  open(path: string, headers?: Record<string, string>): Promise<AsyncGenerator<SentEvent, void, undefined>>;
}

/** The API behind a real socket, with one instance under way. */
async function stage(t: TestContext): Promise<Stage> {
  const api = await apiHarness(t);
  const base = await api.app.listen({ port: 0, host: '127.0.0.1' });
  await api.call('PUT', '/api/v1/projects/demo/workflows/daily', DAILY, YAML);
  const { id } = (await api.call('POST', '/api/v1/projects/demo/workflows/daily/instances')).json();
  const client = new pg.Client({ connectionString: api.url, options: '-c search_path=keelson' });
  await client.connect();
  t.after(() => client.end());
  return {
    ...api,
    base,
    id,
    sql: async (text, values = []) => void (await client.query(text, values)),
    open: async (path, headers = {}) => {
      const response = await fetch(`${base}${path}`, { headers: { authorization: `Bearer ${api.token}`, ...headers } });
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('content-type'), 'text/event-stream');
      return eventsOf(response);
    },
  };
}

async function* eventsOf(response: Response): AsyncGenerator<SentEvent, void, undefined> {
  let text = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream() as never) ?? []) {
    text += String(chunk);
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const fields = new Map(
        text
          .slice(0, end)
          .split('\n')
          .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      );
      text = text.slice(end + 2);
      const data = fields.get('data');
      if (data !== undefined)
        yield { id: fields.get('id') ?? '', event: fields.get('event') ?? '', data: JSON.parse(data) };
    }
  }
}

async function nextOf<Item>(items: AsyncGenerator<Item>): Promise<Item> {
  const { value, done } = await items.next();
  assert.ok(done !== true, 'the stream ended');
  return value;
}

const ATTEMPT = `insert into active (id, instance_id, task, generation, attempt, incarnation_id, nonce, state, ready_at, started_at)
  values ($1, $2, 'extract', 1, $3, 1, 'n', 'running', now(), now())`;
const EARLIER = `insert into earlier_attempt (instance_id, generation, task, attempt, attempt_id, incarnation_id, state, ready_at, dispatched_at, ended_at)
  values ($1, 1, 'extract', $2, $3, 1, 'failed', now(), now(), now())`;
const FINISHED = `with gone as (delete from active where instance_id = $1)
  insert into finished_task (instance_id, generation, task, state, attempt, attempt_id, incarnation_id, ready_at, dispatched_at, ended_at)
  values ($1, 1, $2, 'succeeded', $3, $4, 1, now(), now(), now())`;

test('a log is followed while it grows, over a retry, to its end', async (t) => {
  const { id, sql, open, store } = await stage(t);
  await sql(ATTEMPT, [101, id, 1]);
  const events = await open(`/api/v1/task-instances/${id}.1.extract/log?follow=true`);
  const first = nextOf(events);
  const euro = Buffer.from('5 €\n');
  await store.logs.append({ instanceId: id, attemptId: '101', start: 0, data: euro.subarray(0, 3) });
  assert.deepEqual(await first, { id: '1:2', event: 'log', data: { attempt: 1, from: 0, next: 2, text: '5 ' } });
  await store.logs.append({ instanceId: id, attemptId: '101', start: 3, data: euro.subarray(3) });
  assert.deepEqual((await nextOf(events)).data, { attempt: 1, from: 2, next: 6, text: '€\n' });

  await sql('delete from active where instance_id = $1', [id]);
  await sql(EARLIER, [id, 1, 101]);
  await sql(ATTEMPT, [102, id, 2]);
  await store.logs.append({ instanceId: id, attemptId: '102', start: 0, data: Buffer.from('again\n') });
  assert.deepEqual(await nextOf(events), {
    id: '2:6',
    event: 'log',
    data: { attempt: 2, from: 0, next: 6, text: 'again\n' },
  });
  await store.logs.append({ instanceId: id, attemptId: '102', start: 6, data: Buffer.from([0xe2, 0x82]) });
  await sql(FINISHED, [id, 'extract', 2, 102]);
  assert.equal((await nextOf(events)).data.text, '\ufffd');
  assert.deepEqual(await nextOf(events), { id: '2:8', event: 'end', data: { attempt: 2, state: 'succeeded' } });
  assert.equal((await events.next()).done, true);

  const resumed = await open(`/api/v1/task-instances/${id}.1.extract/log?follow=true`, { 'last-event-id': '1:2' });
  const rest: string[] = [];
  for await (const { event, data } of resumed) rest.push(`${event} ${data.text ?? ''}`);
  assert.deepEqual(rest, ['log €\n', 'log again\n', 'log \ufffd', 'end ']);
});

test('a log is read in parts, from its end, and of any attempt', async (t) => {
  const { id, sql, call, store } = await stage(t);
  const url = `/api/v1/task-instances/${id}.1.extract/log`;
  const before = await call('GET', url);
  assert.deepEqual(
    [before.body, before.headers['keelson-log-attempt'], before.headers['keelson-log-complete']],
    ['', '0', 'false'],
  );
  await sql(EARLIER, [id, 1, 201]);
  await store.logs.append({ instanceId: id, attemptId: '201', start: 0, data: Buffer.from('first\n') });
  await sql(FINISHED, [id, 'extract', 2, 202]);
  const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join('');
  for (let start = 0; start < lines.length; start += 60_000) {
    await store.logs.append({
      instanceId: id,
      attemptId: '202',
      start,
      data: Buffer.from(lines.slice(start, start + 60_000)),
    });
  }
  const whole = await call('GET', url);
  assert.equal(whole.body, lines);
  assert.deepEqual([whole.headers['keelson-log-attempt'], whole.headers['keelson-log-complete']], ['2', 'true']);
  const part = await call('GET', `${url}?from=100000&limit=50000`);
  assert.equal(part.body, lines.slice(100_000, 150_000));
  assert.deepEqual(
    [part.headers['keelson-log-from'], part.headers['keelson-log-next'], part.headers['keelson-log-complete']],
    ['100000', '150000', 'false'],
  );
  assert.equal((await call('GET', `${url}?tail=2`)).body, 'line 19998\nline 19999\n');
  const long = (await call('GET', `${url}?tail=9000`)).body;
  assert.ok(long.startsWith('line 11000\n') && long.endsWith('line 19999\n'));
  assert.equal((await call('GET', `${url}?attempt=1`)).body, 'first\n');
  assert.equal((await call('GET', `${url}?attempt=3`)).json().code, 'unknown-attempt');
});

test('an instance is watched from a snapshot to its end', async (t) => {
  const { id, sql, open } = await stage(t);
  const events = await open(`/api/v1/instances/${id}/events`);
  const snapshot = await nextOf(events);
  assert.equal(snapshot.event, 'snapshot');
  assert.equal((snapshot.data['tasks'] as unknown[]).length, 2);
  await sql(ATTEMPT, [301, id, 1]);
  const running = await nextOf(events);
  assert.deepEqual([running.event, running.data.task, running.data.state], ['task', 'extract', 'running']);
  await sql(FINISHED, [id, 'extract', 1, 301]);
  await sql(FINISHED, [id, 'load', 1, 302]);
  await sql(
    `with gone as (delete from live_instance where id = $1), told as (delete from command where instance_id = $1)
    insert into instance_end (instance_id, generation, state) values ($1, 1, 'succeeded')`,
    [id],
  );
  const seen: string[] = [];
  let last: SentEvent | undefined;
  for await (const event of events) {
    last = event;
    if (event.event === 'task') seen.push(`${event.data.task} ${event.data.state}`);
  }
  assert.deepEqual(
    seen.filter((text) => text.endsWith('succeeded')),
    ['extract succeeded', 'load succeeded'],
  );
  assert.deepEqual([last?.event, last?.data.state], ['end', 'succeeded']);

  const late = await open(`/api/v1/instances/${id}/events`);
  const kinds: string[] = [];
  for await (const { event } of late) kinds.push(event);
  assert.deepEqual(kinds, ['snapshot', 'end']);
});

test('a server that closes ends its streams', async (t) => {
  const { id, app, open } = await stage(t);
  const live = await open(`/api/v1/instances/${id}/events`);
  const log = await open(`/api/v1/task-instances/${id}.1.extract/log?follow=true`);
  assert.equal((await nextOf(live)).event, 'snapshot');
  const ends = Promise.all([live.next(), log.next()]);
  await app.close();
  assert.deepEqual(
    (await ends).map(({ done }) => done),
    [true, true],
  );
});

test('an artifact is downloaded as it was uploaded', async (t) => {
  const { id, sql, call, store } = await stage(t);
  const content = Buffer.from([0, 1, 2, 255]);
  const sha256 = '3d1f57c984978ef98a18378c8166c1cb8ede02c03eeb6aee7e2f121dfeee3e56';
  await store.blobs.put(sha256, content);
  await sql(FINISHED, [id, 'load', 1, 401]);
  await sql(
    `insert into finished_task (instance_id, generation, task, state, attempt, attempt_id, ended_at, artifacts)
     values ($1, 1, 'extract', 'succeeded', 1, 402, now(), $2)`,
    [id, JSON.stringify([{ path: 'out/a ü.bin', sha256, size: 4, mode: 0o644 }])],
  );
  const url = `/api/v1/task-instances/${id}.1.extract/artifacts`;
  const answer = await call('GET', `${url}/${encodeURIComponent('out/a ü.bin')}`);
  assert.equal(answer.statusCode, 200, answer.body);
  assert.deepEqual(answer.rawPayload, content);
  assert.equal(answer.headers['content-disposition'], "attachment; filename*=UTF-8''a%20%C3%BC.bin");
  assert.equal((await call('GET', `${url}/out/none`)).json().code, 'unknown-artifact');
  const detail = (await call('GET', `/api/v1/instances/${id}/tasks/extract`)).json();
  assert.deepEqual([detail.artifactCount, detail.artifacts[0].path, detail.attempts.length], [1, 'out/a ü.bin', 1]);
});
