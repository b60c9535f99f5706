import type pg from 'pg';
import { outcomeOf } from './errors.ts';

/** One transaction on a connection of the pool; an error rolls it back and is thrown on. */
export function inTransaction<Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  return between(pool, 'begin', work);
}

/** All reads see the same moment. */
export function inSnapshot<Result>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
  return between(pool, 'begin isolation level repeatable read read only', work);
}

async function between<Result>(
  pool: pg.Pool,
  begin: string,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  let broken = true;
  try {
    await client.query(begin);
    const result = await work(client);
    await client.query('commit');
    broken = false;
    return result;
  } catch (error) {
    // After no answer at all there is nothing to ask on this connection.
    broken =
      outcomeOf(error) === 'unknown' ||
      (await client.query('rollback').then(
        () => false,
        () => true,
      ));
    throw error;
  } finally {
    client.release(broken);
  }
}

/** One transaction on a connection of one's own, which is as good as lost when no rollback is possible. */
export async function inTransactionOf<Result>(client: pg.ClientBase, work: () => Promise<Result>): Promise<Result> {
  await client.query('begin');
  try {
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}
