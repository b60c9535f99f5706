import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { startSilentProxy } from '../../testing/silent-proxy.ts';
import type { SilentProxy } from '../../testing/silent-proxy.ts';
import { migratedDatabase } from '../../testing/migrated.ts';
import { openPool } from './connection.ts';
import { outcomeOf } from './errors.ts';
import { call, openSession } from './session.ts';
import { createSignals } from './signals.ts';
import { inTransaction } from './transaction.ts';

const PING = call({ name: 'ping', text: 'select 1 as one' });
const WITHIN_MS = 45_000;

async function cutWorld(t: TestContext): Promise<SilentProxy> {
  const { url } = await migratedDatabase(t);
  const proxy = await startSilentProxy(url);
  t.after(() => proxy.close());
  return proxy;
}

async function inTime<Result>(what: string, work: Promise<Result>): Promise<Result> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not within ${WITHIN_MS} ms: ${what}`)), WITHIN_MS);
  return Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

test('a session that was cut without a word says so, and the next call has another connection', async (t) => {
  const proxy = await cutWorld(t);
  const session = openSession({ url: proxy.url, applicationName: 'test' }, { answerWithinMs: 500 });
  t.after(() => session.close());
  await session.run([PING]);
  proxy.silence();
  const error = await inTime(
    'the cut is noticed',
    session.run([PING]).catch((caught: unknown) => caught),
  );
  assert.equal(outcomeOf(error), 'unknown');
  proxy.heal();
  assert.deepEqual(await inTime('another connection', session.run([PING])), [[{ one: 1 }]]);
});

test('a pool whose connections were cut without a word goes on with others', async (t) => {
  const proxy = await cutWorld(t);
  const pool = openPool({ url: proxy.url, applicationName: 'test' }, 2, 1000);
  t.after(() => pool.end());
  await Promise.all([pool.query('select pg_sleep(0.1)'), pool.query('select pg_sleep(0.1)')]);
  proxy.silence();
  const cut = Promise.all([
    assert.rejects(pool.query('select 1'), (error) => outcomeOf(error) === 'unknown'),
    assert.rejects(inTransaction(pool, async (client) => client.query('select 1'))),
  ]);
  await inTime('the cut is noticed', cut);
  proxy.heal();
  assert.equal((await inTime('another connection', pool.query('select 1 as one'))).rows[0]?.one, 1);
});

test('a listener that was cut without a word notices it, listens anew and looks at everything again', async (t) => {
  const { url } = await migratedDatabase(t);
  const proxy = await startSilentProxy(url);
  t.after(() => proxy.close());
  const warnings: string[] = [];
  const signals = createSignals({ url: proxy.url, applicationName: 'test' }, (message) => warnings.push(message), 200);
  t.after(() => signals.close());
  const heard: (string | undefined)[] = [];
  signals.listen('ready', (topic) => heard.push(topic));
  const other = createSignals({ url, applicationName: 'test' }, () => undefined);
  t.after(() => other.close());
  const hears = async (what: string, is: () => boolean): Promise<void> => {
    const until = performance.now() + WITHIN_MS;
    while (!is()) {
      assert.ok(performance.now() < until, what);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  await hears('it listens', () => heard.includes(undefined));
  proxy.silence();
  other.send('ready', 'while it was deaf');
  await hears('it notices', () => warnings.length > 0);
  heard.length = 0;
  proxy.heal();
  await hears('after a gap everybody is told to look', () => heard.includes(undefined));
  other.send('ready', 'group-7');
  await hears('and hears again', () => heard.includes('group-7'));
});
