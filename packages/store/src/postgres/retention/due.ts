/**
 * Whether an instance `i` is past its time, `$ahead` milliseconds from now: it is not alive, nor is the backfill that made it, and its newest end is older
 * than its project keeps such. For ever is null, and then nothing is older.
 */
const ended = (subject: string, ahead: string): string => `(
  not exists (select from live_instance l where l.id = i.id)
  and (i.backfill_id is null or not exists (select from backfill b where b.id = i.backfill_id and b.state in ('running', 'paused')))
  and exists (
    select from (select e.state, e.ended_at from instance_end e where e.instance_id = i.id order by e.generation desc limit 1) e
      join workflow w on w.id = i.workflow_id
      join retention_limit k on k.project_id = w.project_id and k.subject = ${subject}
     where e.ended_at < clock_timestamp() + (${ahead}::float8 - k.keep_ms) * interval '1 millisecond'))`;

export const isDue = (ahead: string): string =>
  ended("case e.state when 'succeeded' then 'succeeded' else 'unsuccessful' end", ahead);

/** The same for the logs of an instance. */
export const areLogsDue = (ahead: string): string => ended("'logs'", ahead);

/** The shortest time that any project keeps instances or logs, in milliseconds; null when all are kept for ever. */
export const SHORTEST = `
  select min(keep_ms) filter (where subject in ('succeeded', 'unsuccessful'))::float8 as instances,
         min(keep_ms) filter (where subject = 'logs')::float8 as logs from retention_limit`;
