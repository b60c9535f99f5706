import type { JsonObject } from '@keelson/core';
import type pg from 'pg';
import type { Alert, Alerts } from '../alerts.ts';
import { pageFrom, parseCursor } from './connection/cursor.ts';
import { isId, iso, isoOrNull } from './connection/rows.ts';

interface AlertRow {
  readonly id: string;
  readonly kind: string;
  readonly instance_id: string | null;
  readonly payload: JsonObject;
  readonly created_at: Date;
  readonly tries: number;
  readonly next_try_at: Date;
  readonly last_error: string | null;
  readonly delivered_at: Date | null;
}

/** Locks: due alerts with SKIP LOCKED; several senders share the work. The taken ones are put off, should their sender die. */
const CLAIM = {
  name: 'alert-claim',
  text: `with due as (
           select id from alert where delivered_at is null and next_try_at <= clock_timestamp()
            order by next_try_at, id limit $1 for no key update skip locked
         ), taken as (
           update alert a set tries = tries + 1, next_try_at = clock_timestamp() + $2 * interval '1 millisecond'
             from due where a.id = due.id returning a.*
         )
         select t.*, p.name as project, w.name as workflow from taken t
           left join workflow_instance i on i.id = t.instance_id
           left join workflow w on w.id = i.workflow_id left join project p on p.id = w.project_id
          order by t.id`,
};

const DELIVERED = {
  name: 'alert-delivered',
  text: 'update alert set delivered_at = clock_timestamp(), last_error = null where id = $1 and delivered_at is null',
};

const FAILED = {
  name: 'alert-failed',
  text: `update alert set last_error = left($2, 2000),
                next_try_at = clock_timestamp() + least(5 * 2 ^ least(greatest(tries - 1, 0), 20), 3600) * interval '1 second'
          where id = $1 and delivered_at is null`,
};

const NEXT_DUE = {
  name: 'alert-next-due',
  text: `select (extract(epoch from min(next_try_at) - clock_timestamp()) * 1000)::float8 as ms from alert where delivered_at is null`,
};

export function createAlerts(pool: pg.Pool): Alerts {
  return {
    claim: async ({ limit, leaseMs }) => {
      const { rows } = await pool.query<AlertRow & { project: string | null; workflow: string | null }>({
        ...CLAIM,
        values: [limit, leaseMs],
      });
      return rows.map((row) => ({ ...alertFrom(row), project: row.project, workflow: row.workflow }));
    },
    delivered: async (id) => void (await pool.query({ ...DELIVERED, values: [id] })),
    failed: async (id, error) => void (await pool.query({ ...FAILED, values: [id, error] })),
    msUntilDue: async () => {
      const { rows } = await pool.query<{ ms: number | null }>(NEXT_DUE);
      const ms = rows[0]?.ms ?? undefined;
      return ms && Math.max(0, ms);
    },
    list: async ({ undelivered = false }, page) => {
      const [below] = parseCursor(page.cursor, 1, isId) ?? [];
      const { rows } = await pool.query<AlertRow>(
        `select * from alert where ($1::bigint is null or id < $1) ${undelivered ? 'and delivered_at is null' : ''} order by id desc limit $2`,
        [below ?? null, page.limit + 1],
      );
      return pageFrom(rows, page, alertFrom, ({ id }) => [id]);
    },
  };
}

function alertFrom(row: AlertRow): Alert {
  return {
    id: row.id,
    kind: row.kind,
    instanceId: row.instance_id,
    payload: row.payload,
    createdAt: iso(row.created_at),
    tries: row.tries,
    nextTryAt: iso(row.next_try_at),
    lastError: row.last_error,
    deliveredAt: isoOrNull(row.delivered_at),
  };
}
