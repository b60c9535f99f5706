import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMemoryDatabase } from './database.ts';
import type { MemoryDatabase, Statement } from './database.ts';

const clock = { now: () => 1_000_000, after: () => () => undefined };

async function alone(database: MemoryDatabase, statement: Statement): Promise<void> {
  const tx = database.transactions.begin();
  await database.execute(tx, statement);
  database.commit(tx);
}

const insertGroup = (name: string): Statement =>
  function* (it, { worker_group }) {
    yield* it.insert(worker_group, { name, lease_ms: 1 });
    return it.all(worker_group).map(({ row }) => ({ ...row }));
  };

test('a statement does not see what it writes itself, the next one of its transaction does, others see it committed', async () => {
  const database = openMemoryDatabase({ clock });
  const [one, other] = [database.transactions.begin(), database.transactions.begin()];
  assert.deepEqual(await database.execute(one, insertGroup('g')), []);
  assert.equal((await database.execute(one, insertGroup('h'))).length, 1);
  assert.deepEqual(await database.execute(other, insertGroup('i')), []);
  database.commit(one);
  assert.equal((await database.execute(other, insertGroup('j'))).length, 3);
  database.transactions.abort(other);
  assert.equal(database.dump()['worker_group']?.length, 2);
});

test('what is append-only is not updated', async () => {
  const database = openMemoryDatabase({ clock });
  await alone(database, function* (it, { history }) {
    yield* it.insert(history, { id: '1', instance_id: '1', at: 0, events: [] });
    return [];
  });
  const change: Statement = function* (it, { history }) {
    for (const found of it.all(history)) yield* it.update(found, (row) => ({ ...row, at: 1 }));
    return [];
  };
  await assert.rejects(alone(database, change), { code: '23514', message: /append-only/ });
});

test('a statement that is paused before its lock sees what others have committed meanwhile in the row, and only there', async () => {
  let passing: Promise<void> | undefined;
  const database = openMemoryDatabase({ clock, pause: () => passing });
  await alone(database, insertGroup('g'));
  const gate = Promise.withResolvers<void>();
  passing = gate.promise;
  const slow = alone(database, function* (it, { worker_group }) {
    for (const found of it.all(worker_group))
      yield* it.update(
        found,
        (row) => ({ ...row, lease_ms: row.lease_ms * 10 }),
        (row) => row.lease_ms < 5,
      );
    return [];
  });
  passing = undefined;
  await alone(database, function* (it, { worker_group }) {
    for (const found of it.all(worker_group))
      yield* it.update(found, (row) => ({ ...row, lease_ms: row.lease_ms + 6 }));
    return [];
  });
  gate.resolve();
  await slow;
  assert.deepEqual(database.dump()['worker_group'], [{ name: 'g', lease_ms: 7 }]);
});
