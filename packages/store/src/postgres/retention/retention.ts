import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { ObjectStore } from '../../blobs/object-store.ts';
import type { Retention, RetentionOutcome, RetentionRunOptions } from '../../retention.ts';
import { clientConfig, openPool } from '../connection/connection.ts';
import type { ConnectionSettings } from '../connection/connection.ts';
import { isId } from '../connection/rows.ts';
import { NOTHING, readPolicy, setPolicy } from './policy.ts';
import { readDue } from './report.ts';
import { removeAllDue } from './run.ts';
import type { Work } from './work.ts';

/** Any constant will do, as long as every Keelson takes the same one. */
const RETENTION_LOCK = 7_305_114_213;

/**
 * A lock that is not free soon is tried again by the next run: who waits for one holds up those that come after him. The statements that look
 * for what is past its time may take long; they lock nothing.
 */
const SETTINGS = { lock_timeout: '300', statement_timeout: '120000' };
/** As long as it worked, but not less: removal never takes more than half of a connection's time. */
const LEAST_PAUSE_MS = 10;
const COUNT_WITHIN_MS = 120_000;

/** @param objects where the bytes of logs are; absent: in their rows */
export function createRetention(
  settings: ConnectionSettings,
  pool: pg.Pool,
  objects: ObjectStore | undefined,
): Retention {
  // Counting what is due takes longer than a request of another kind may.
  const counting = openPool(
    { ...settings, settings: { statement_timeout: String(COUNT_WITHIN_MS) } },
    1,
    COUNT_WITHIN_MS + 5000,
  );
  return {
    policy: () => readPolicy(pool),
    set: (project, changes, by) => setPolicy(pool, project, changes, by),
    due: () => readDue(counting),
    run: (options = {}) => run(settings, objects, options),
    isArchived: async (id) => {
      if (!isId(id)) return false;
      const { rows } = await pool.query(
        `select 1 from retention_state where removed_up_to >= $1 and not exists (select from workflow_instance where id = $1)`,
        [id],
      );
      return rows.length > 0;
    },
    close: () => counting.end(),
  };
}

async function run(
  settings: ConnectionSettings,
  objects: ObjectStore | undefined,
  options: RetentionRunOptions,
): Promise<RetentionOutcome> {
  const client = new pg.Client(clientConfig({ ...settings, settings: { ...settings.settings, ...SETTINGS } }));
  // A connection that breaks between two statements fails the next one.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [RETENTION_LOCK]);
    if (rows[0]?.mine !== true) return { kind: 'busy' };
    if (!(await begin(client, options.unlessWithinMs ?? 0))) return { kind: 'not-due' };
    const work: Work = {
      client,
      objects,
      removed: { ...NOTHING },
      more: false,
      stopped: options.stopped ?? (() => false),
      pause: options.pause ?? ((tookMs) => sleep(Math.max(LEAST_PAUSE_MS, tookMs))),
    };
    await removeAllDue(work);
    await client.query('update retention_state set ended_at = clock_timestamp(), removed = $1', [
      JSON.stringify(work.removed),
    ]);
    return { kind: 'done', removed: work.removed, more: work.more };
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function begin(client: pg.Client, unlessWithinMs: number): Promise<boolean> {
  const { rowCount } = await client.query(
    `update retention_state set began_at = clock_timestamp(), ended_at = null, removed = '{}'
      where began_at is null or ended_at is null or began_at <= clock_timestamp() - $1::float8 * interval '1 millisecond'`,
    [unlessWithinMs],
  );
  return rowCount === 1;
}
