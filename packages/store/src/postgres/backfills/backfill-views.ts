import type { BackfillCounts } from '@keelson/core';
import type pg from 'pg';
import type { BackfillDetail, BackfillMember, BackfillSummary, BackfillViews, RunView } from '../../backfills.ts';
import { pageFrom, parseCursor } from '../connection/cursor.ts';
import { DEPENDENCIES } from '../definitions/dependencies.ts';
import { isId, iso, isoOrNull } from '../connection/rows.ts';

const COLUMNS = `b.id, b.state, b.members, b.params, b.request, b.parallel, b.priority, b.on_failure, b.again, b.last_error, b.created_by,
         b.created_at, b.ended_at, b.waiting, b.pending, b.running, b.succeeded, b.failed, b.stopped, b.skipped,
         case when b.skipped = 0 or b.ended_at is null then 0 else (select count(*) from backfill_run r where r.backfill_id = b.id
            and r.state = 'skipped' and r.reason->>'code' = 'already-succeeded') end::int as before`;

const LIST = `select ${COLUMNS} from backfill b join workflow w on w.id = b.workflow_id join project p on p.id = w.project_id
   where ($1::text is null or p.name = $1) and ($2::text is null or w.name = $2) and ($3::text is null or b.state = $3)
     and ($4::bigint is null or b.id < $4)
   order by b.id desc limit $5`;

const LEFT_OUT = `select reason->>'code' as code, count(*)::int as runs from backfill_run where backfill_id = $1 and state = 'skipped' group by 1 order by 1`;
const EVENTS = 'select at, kind, by, detail from backfill_event where backfill_id = $1 order by id';

const RUNS = `select r.seq, r.run_time, r.state, r.instance_id, r.reason, i.created_at as started_at, e.ended_at, w.name as workflow, p.name as project
    from backfill_run r join workflow w on w.id = r.workflow_id join project p on p.id = w.project_id
    left join workflow_instance i on i.id = r.instance_id
    left join lateral (select ended_at from instance_end where instance_id = r.instance_id order by generation desc limit 1) e on r.state <> 'running'
   where r.backfill_id = $1 and r.seq > $2 and ($3::text is null or r.state = $3)
   order by r.seq limit $4`;

/** The live ones first, then the newest that has succeeded in its last generation. */
const THERE = `select distinct on (i.workflow_id, i.run_time) i.workflow_id, i.run_time, i.id, l.id is not null as live
    from workflow_instance i left join live_instance l on l.id = i.id
   where i.workflow_id = any($1::bigint[]) and i.run_time between $2 and $3 and (l.id is not null or exists (
         select from instance_end e where e.instance_id = i.id and e.state = 'succeeded'
            and not exists (select from instance_end n where n.instance_id = i.id and n.generation > e.generation)))
   order by i.workflow_id, i.run_time, l.id is null, i.id desc`;

interface BackfillRow {
  readonly id: string;
  readonly state: BackfillSummary['state'];
  readonly members: readonly BackfillMember[];
  readonly params: BackfillSummary['params'];
  readonly request: BackfillSummary['request'];
  readonly before: number;
  readonly parallel: number;
  readonly priority: number;
  readonly on_failure: 'stop' | 'continue';
  readonly again: boolean;
  readonly last_error: string | null;
  readonly created_by: string;
  readonly created_at: Date;
  readonly ended_at: Date | null;
}

/** Backfills as people read them: statements that stand alone, through the pool. */
export function createBackfillViews(pool: pg.Pool): BackfillViews {
  return {
    list: async ({ project, workflow, state }, page) => {
      const [below] = parseCursor(page.cursor, 1, isId) ?? [];
      const values = [project ?? null, workflow ?? null, state ?? null, below ?? null, page.limit + 1];
      const { rows } = await pool.query<BackfillRow & BackfillCounts>(LIST, values);
      return pageFrom(rows, page, summaryFrom, ({ id }) => [id]);
    },
    get: async (id) => {
      if (!isId(id)) return undefined;
      const { rows } = await pool.query<BackfillRow & BackfillCounts>(
        `select ${COLUMNS} from backfill b where b.id = $1`,
        [id],
      );
      const row = rows[0];
      return row && { ...summaryFrom(row), ...(await detailOf(pool, row)) };
    },
    runs: async (id, { state }, page) => {
      const [after = '0'] = parseCursor(page.cursor, 1, isId) ?? [];
      if (!isId(id)) return { items: [], next: null };
      const { rows } = await pool.query(RUNS, [id, after, state ?? null, page.limit + 1]);
      return pageFrom(rows, page, runFrom, (row) => [String(row.seq)]);
    },
    there: async (workflowIds, from, to) => {
      const { rows } = await pool.query(THERE, [workflowIds, from, to]);
      return rows.map((row) => ({
        workflowId: row.workflow_id,
        runTime: iso(row.run_time),
        instanceId: row.id,
        live: row.live,
      }));
    },
    dependencies: async () => {
      const { rows } = await pool.query<{ name: string; depends_on: string[] }>(DEPENDENCIES);
      return new Map(rows.map(({ name, depends_on }) => [name, depends_on]));
    },
  };
}

async function detailOf(
  pool: pg.Pool,
  { id, members }: BackfillRow,
): Promise<Pick<BackfillDetail, 'members' | 'leftOut' | 'events'>> {
  const [left, events] = await Promise.all([
    pool.query<{ code: string; runs: number }>(LEFT_OUT, [id]),
    pool.query(EVENTS, [id]),
  ]);
  return {
    members,
    leftOut: Object.fromEntries(left.rows.map(({ code, runs }) => [code, runs])),
    events: events.rows.map(({ at, kind, by, detail }) => ({ at: iso(at), kind, by, detail })),
  };
}

function summaryFrom(row: BackfillRow & BackfillCounts): BackfillSummary {
  const { waiting, pending, running, succeeded, failed, stopped, skipped } = row;
  const [first] = row.members;
  return {
    id: row.id,
    project: first?.project ?? '',
    workflow: first?.workflow ?? '',
    version: first?.version ?? 0,
    state: row.state,
    counts: { waiting, pending, running, succeeded, failed, stopped, skipped },
    before: row.before,
    request: row.request,
    parallel: row.parallel,
    priority: row.priority,
    onFailure: row.on_failure,
    again: row.again,
    params: row.params,
    lastError: row.last_error,
    createdBy: row.created_by,
    createdAt: iso(row.created_at),
    endedAt: isoOrNull(row.ended_at),
  };
}

function runFrom(row: pg.QueryResultRow): RunView {
  return {
    seq: row.seq,
    project: row.project,
    workflow: row.workflow,
    runTime: iso(row.run_time),
    state: row.state,
    instanceId: row.instance_id,
    startedAt: isoOrNull(row.started_at),
    endedAt: isoOrNull(row.ended_at),
    reason: row.reason,
  };
}
