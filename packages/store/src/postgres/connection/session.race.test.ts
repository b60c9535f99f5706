import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWorld } from '../../testing/world.ts';
import { outcomeOf } from './errors.ts';
import { call, openSession } from './session.ts';

const INSERT = { name: 'insert-project', text: 'insert into project (name) values ($1)' };
const OTHER = { name: 'insert-other-project', text: 'insert into project (name) values ($1) returning id' };

test('a value that cannot be sent commits nothing of its transaction', async (t) => {
  const world = await openWorld(t);
  const session = openSession(world.settings);
  t.after(() => session.close());
  const poison = {
    toPostgres: () => {
      throw new RangeError('Invalid string length');
    },
  };
  await assert.rejects(session.begin().commit([call(INSERT, 'first'), call(OTHER, poison), call(INSERT, 'third')]));
  assert.deepEqual(await world.sql("select name from project where name in ('first', 'third')"), []);
});

test('connections that were lost are closed and not left over', async (t) => {
  const world = await openWorld(t);
  const session = openSession({ ...world.settings, applicationName: 'session-race' });
  t.after(() => session.close());
  const ping = { name: 'ping', text: 'select 1 as one' };
  const count = async (): Promise<number> =>
    (await world.sql("select count(*)::int as n from pg_stat_activity where application_name = 'session-race'"))[0]?.n;
  for (let round = 0; round < 5; round++) {
    await session.run([call(ping)]);
    await world.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'session-race'");
    await session.run([call(ping)]).catch(() => undefined);
    await session.run([call(ping)]).catch(() => undefined);
  }
  await session.run([call(ping)]);
  const giveUp = performance.now() + 3000;
  while ((await count()) !== 1 && performance.now() < giveUp) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await count(), 1);
});

test('a connection that could not be had in time is worth another try', () => {
  // The texts of pg-pool (no free connection, or none made in time) and of pg (no answer to the connect).
  for (const text of ['timeout exceeded when trying to connect', 'timeout expired', 'Query read timeout'])
    assert.notEqual(outcomeOf(new Error(text)), 'application', text);
});
