/** Live instances that the dearer rules look at: the oldest, which have had the most time to go wrong. */
const MOST_INSTANCES = 2000;
/**
 * So many tasks together: of 300 instances with 3000 tasks each, the needs alone took 32 s to count, and a look that is cut off finds
 * nothing, ever.
 */
const MOST_TASKS = 50_000;

/** A query of live instances, for rules that look at each of their tasks. At least one of them, however large. */
export const oldestLive = (which = 'true'): string =>
  `select l.* from (
     select l.*, sum(v.task_count) over (order by l.id) - v.task_count as tasks_before
       from (select * from live_instance where ${which} order by id limit ${MOST_INSTANCES}) l join workflow_version v on v.id = l.version_id
   ) l where l.tasks_before < ${MOST_TASKS}`;
