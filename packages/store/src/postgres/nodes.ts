import type pg from 'pg';
import { taskInstanceId } from '../ids.ts';
import type { Nodes, ServerNode, WorkerNode, WorkerTask } from '../nodes.ts';
import { iso } from './rows.ts';
import { inSnapshot } from './transaction.ts';

const SEEN = `
  with forgotten as (
    delete from server_node where id <> $1 and seen_until < clock_timestamp() - interval '1 day'
  )
  insert into server_node (id, roles, host, pid, url, version, seen_until)
  values ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 millisecond')
  on conflict (id) do update set seen_until = excluded.seen_until, roles = excluded.roles, url = excluded.url`;

const SERVERS = 'select *, seen_until > clock_timestamp() as alive from server_node order by host, started_at, id';

const WORKERS = `
  select id, name, worker_group, state, slots, capabilities, host, pid, version, registered_at, lease_until,
         lease_until <= clock_timestamp() as lease_over
    from worker_incarnation where state <> 'dead' order by worker_group, name, id`;

const RUNNING = `
  select a.incarnation_id, a.instance_id, a.generation, a.task, a.attempt, a.state, coalesce(a.started_at, a.dispatched_at) as since,
         p.name as project, w.name as workflow
    from active a join live_instance l on l.id = a.instance_id
    join workflow w on w.id = l.workflow_id join project p on p.id = w.project_id
   where a.incarnation_id = any($1::bigint[]) order by a.id`;

interface ServerRow {
  readonly id: string;
  readonly roles: string[];
  readonly host: string;
  readonly pid: number;
  readonly url: string | null;
  readonly version: string;
  readonly started_at: Date;
  readonly seen_until: Date;
  readonly alive: boolean;
}

interface WorkerRow {
  readonly id: string;
  readonly name: string;
  readonly worker_group: string;
  readonly state: 'live' | 'draining';
  readonly slots: number;
  readonly capabilities: string[];
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly registered_at: Date;
  readonly lease_until: Date;
  readonly lease_over: boolean;
}

interface RunningRow {
  readonly incarnation_id: string;
  readonly instance_id: string;
  readonly generation: number;
  readonly task: string;
  readonly attempt: number;
  readonly state: 'dispatched' | 'running';
  readonly since: Date;
  readonly project: string;
  readonly workflow: string;
}

export function createNodes(pool: pg.Pool): Nodes {
  return {
    seen: async ({ id, roles, host, pid, url, version }, ttlMs) =>
      void (await pool.query(SEEN, [id, roles, host, pid, url ?? null, version, ttlMs])),
    remove: async (id) => void (await pool.query('delete from server_node where id = $1', [id])),
    servers: async () => (await pool.query<ServerRow>(SERVERS)).rows.map(serverFrom),
    workers: () =>
      inSnapshot(pool, async (client) => {
        const { rows } = await client.query<WorkerRow>(WORKERS);
        const running = await client.query<RunningRow>(RUNNING, [rows.map(({ id }) => id)]);
        const tasks = Map.groupBy(running.rows, (row) => row.incarnation_id);
        return rows.map((row) => workerFrom(row, (tasks.get(row.id) ?? []).map(taskFrom)));
      }),
  };
}

function serverFrom({ id, roles, host, pid, url, version, started_at, seen_until, alive }: ServerRow): ServerNode {
  return { id, roles, host, pid, url, version, startedAt: iso(started_at), seenUntil: iso(seen_until), alive };
}

function workerFrom(row: WorkerRow, running: WorkerTask[]): WorkerNode {
  const { name, state, slots, capabilities, host, pid, version } = row;
  return {
    incarnation: row.id,
    name,
    group: row.worker_group,
    state,
    slots,
    inUse: running.length,
    capabilities,
    host,
    pid,
    version,
    registeredAt: iso(row.registered_at),
    leaseUntil: iso(row.lease_until),
    leaseOver: row.lease_over,
    running,
  };
}

function taskFrom(row: RunningRow): WorkerTask {
  const key = { instanceId: row.instance_id, generation: row.generation, task: row.task };
  const { project, workflow, attempt, state } = row;
  return { ...key, id: taskInstanceId(key), project, workflow, attempt, state, since: iso(row.since) };
}
