import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { folderObjects } from '../blobs/folder.ts';
import type { ObjectStore } from '../blobs/object-store.ts';
import { namedWorkflow, openWorld } from '../testing/world.ts';
import { createLogs } from './logs.ts';

async function open(t: TestContext, objects?: ObjectStore) {
  const world = await openWorld(t);
  const instanceId = await world.start(await world.apply(namedWorkflow('demo', 'etl')));
  const logs = createLogs(world.settings, objects);
  t.after(() => logs.close());
  let attempts = 0;
  return { ...world, logs, log: () => ({ instanceId, attemptId: String(++attempts) }) };
}

type Opened = Awaited<ReturnType<typeof open>>;

/** Reads on until nothing comes any more. */
async function readAll(
  { logs }: Opened,
  name: { instanceId: string; attemptId: string },
  limit: number,
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (let from = 0; ;) {
    const slice = await logs.read(name, { from, limit });
    if (slice.data.length === 0) return Buffer.concat(parts);
    assert.ok(slice.data.length <= limit);
    assert.equal(slice.next, slice.from + slice.data.length);
    parts.push(slice.data);
    from = slice.next;
  }
}

/** Cuts a log into pieces that cover it, then adds repeated and overlapping ones, all in any order. */
const piecesOf = (size: number) =>
  fc
    .tuple(
      fc.uniqueArray(fc.integer({ min: 1, max: size - 1 }), { maxLength: 6 }),
      fc.array(fc.tuple(fc.nat({ max: size - 1 }), fc.integer({ min: 1, max: size })), { maxLength: 6 }),
    )
    .map(([cuts, extra]) => {
      const edges = [0, ...cuts.toSorted((a, b) => a - b), size];
      const cover = edges.slice(1).map((end, index) => [edges[index] ?? 0, end] as const);
      return [...cover, ...extra.map(([start, length]) => [start, Math.min(size, start + length)] as const)];
    })
    .chain((pieces) => fc.shuffledSubarray(pieces, { minLength: pieces.length }));

test('pieces in any order, repeated and overlapping, read as the log that was written', async (t) => {
  const it = await open(t);
  const content = randomBytes(200_000);
  const property = fc.asyncProperty(
    piecesOf(content.length),
    fc.constantFrom(1000, 65_536, 70_000, 1_000_000),
    async (pieces, limit) => {
      const name = it.log();
      for (const [start, end] of pieces) await it.logs.append({ ...name, start, data: content.subarray(start, end) });
      if (limit > 1000) assert.ok((await readAll(it, name, limit)).equals(content));
      const middle = await it.logs.read(name, { from: 123_456, limit });
      assert.ok(
        Buffer.from(middle.data).equals(content.subarray(123_456, 123_456 + Math.min(limit, middle.data.length))),
      );
      assert.ok(middle.data.length > 0);
      assert.equal(await it.logs.size(name), content.length);
      const tail = await it.logs.tail(name, 5000);
      assert.ok(Buffer.from(tail.data).equals(content.subarray(-5000)));
    },
  );
  await fc.assert(property, { numRuns: 25 });
});

test('bytes that are there stay, and a longer piece from the same offset adds the rest', async (t) => {
  const it = await open(t);
  const name = it.log();
  await it.logs.append({ ...name, start: 0, data: Buffer.from('hello') });
  await it.logs.append({ ...name, start: 0, data: Buffer.from('HE') });
  await it.logs.append({ ...name, start: 0, data: Buffer.from('hello world') });
  assert.equal((await readAll(it, name, 100)).toString(), 'hello world');
});

test('a gap is left out and seen by its offset', async (t) => {
  const it = await open(t);
  const name = it.log();
  await it.logs.append({ ...name, start: 0, data: Buffer.from('abc') });
  await it.logs.append({ ...name, start: 500_000, data: Buffer.from('xyz') });
  assert.deepEqual(await it.logs.read(name, { from: 0, limit: 1_000_000 }), {
    from: 0,
    data: Buffer.from('abc'),
    next: 3,
  });
  assert.deepEqual(await it.logs.read(name, { from: 3, limit: 2 }), {
    from: 500_000,
    data: Buffer.from('xy'),
    next: 500_002,
  });
  assert.deepEqual(await it.logs.read(name, { from: 500_003, limit: 2 }), {
    from: 500_003,
    data: new Uint8Array(),
    next: 500_003,
  });
});

test('a log without bytes is empty', async (t) => {
  const it = await open(t);
  const name = it.log();
  await it.logs.append({ ...name, start: 0, data: new Uint8Array() });
  assert.equal(await it.logs.size(name), 0);
  assert.deepEqual(await it.logs.tail(name, 10), { from: 0, data: new Uint8Array(), next: 0 });
});

test('where blobs are files the bytes are there too, and the row only names them', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-logs-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const it = await open(t, folderObjects(folder));
  const name = it.log();
  const content = randomBytes(150_000);
  await it.logs.append({ ...name, start: 0, data: content.subarray(0, 100_000) });
  await it.logs.append({ ...name, start: 50_000, data: content.subarray(50_000) });
  assert.ok((await readAll(it, name, 64_000)).equals(content));
  assert.deepEqual(await it.sql('select count(data)::int as with_bytes from log_chunk'), [{ with_bytes: 0 }]);
});

test('a watcher in another process hears of new bytes, and of a gap in hearing', async (t) => {
  const it = await open(t);
  const other = createLogs(it.settings);
  t.after(() => other.close());
  const name = it.log();
  const heard = counter();
  const unheard = counter();
  const end = await other.watch(name.attemptId, heard.add);
  await other.watch('999', unheard.add);
  await it.logs.append({ ...name, start: 0, data: Buffer.from('a') });
  await heard.reaches(1);
  assert.equal(unheard.count(), 0);
  const { rows } = await it.pool.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen keelson_log' and datname = current_database()",
  );
  assert.equal(rows.length, 1);
  await heard.reaches(2);
  await unheard.reaches(1);
  await it.logs.append({ ...name, start: 1, data: Buffer.from('b') });
  await heard.reaches(3);
  end();
});

test('many pieces make few notifications', async (t) => {
  const it = await open(t);
  const client = new pg.Client({ connectionString: it.settings.url });
  // The database is dropped under it before this hook runs.
  client.on('error', () => undefined);
  await client.connect();
  t.after(() => client.end());
  const heard: string[] = [];
  const ids = () => [...new Set(heard.flatMap((payload) => payload.split(' ')))].toSorted();
  const both = new Promise<void>((resolve) => {
    client.on('notification', ({ payload = '' }) => {
      heard.push(payload);
      if (ids().length === 2) resolve();
    });
  });
  await client.query('listen keelson_log');
  const names = [it.log(), it.log()];
  const pieces = Array.from({ length: 100 }, (_, start) =>
    names.map((name) => it.logs.append({ ...name, start, data: Buffer.from('x') })),
  );
  await Promise.all(pieces.flat());
  await both;
  assert.deepEqual(ids(), ['1', '2']);
  assert.ok(heard.length < 100, `${heard.length} notifications for 200 pieces`);
});

/** Counts calls; `reaches` waits for at least so many. */
function counter() {
  let calls = 0;
  let wake: () => void = () => undefined;
  return {
    add: () => {
      calls++;
      wake();
    },
    count: () => calls,
    reaches: async (wanted: number): Promise<void> => {
      const deadline = AbortSignal.timeout(10_000);
      while (calls < wanted) {
        await new Promise<void>((resolve, reject) => {
          wake = resolve;
          deadline.addEventListener('abort', () => reject(new Error(`heard ${calls} times, not ${wanted}`)), {
            once: true,
          });
        });
      }
    },
  };
}
