import type { Damage } from './damage.ts';

/** A running one with these counts, without its runs. */
function backfill({ waiting = 0, pending = 0, running = 0 }): string {
  return `insert into backfill (id, workflow_id, parallel, priority, on_failure, again, members, params, request, created_by,
                                waiting, pending, running, succeeded, failed, stopped, skipped)
          values (1, 1, 3, -10, 'continue', false, '[{"versionId": "1"}]', '{}', '{}', 'me', ${waiting}, ${pending}, ${running}, 0, 0, 0, 0)`;
}
const ONE_PENDING = `insert into backfill_run (backfill_id, seq, workflow_id, run_time, state) values (1, 1, 1, '2026-01-01', 'pending')`;

/** Of backfills and their runs. */
export const BACKFILL_DAMAGES: readonly Damage[] = [
  {
    rule: 'backfill-run-not-told',
    sql: `${backfill({ running: 1 })};
          insert into backfill_run (backfill_id, seq, workflow_id, run_time, state, instance_id) select 1, 1, 1, '2026-01-01', 'running', min(instance_id) from instance_end`,
    finds: /^run 1 of backfill 1$/,
    does: /^backfill 1 is told of the end of run 1$/,
    holds: "select count(*) = 1 from followup where kind = 'backfill' and subject_id = 1",
  },
  {
    rule: 'backfill-without-driver',
    sql: `${backfill({ waiting: 1 })};
          insert into backfill_run (backfill_id, seq, workflow_id, run_time, state) values (1, 1, 1, '2026-01-01', 'waiting')`,
    finds: /^backfill 1, 1 runs waiting$/,
  },
  {
    rule: 'backfill-overdue',
    sql: `${backfill({ pending: 1 })}; ${ONE_PENDING}; update backfill set last_error = 'broken', turned_at = now() - interval '2 minutes'`,
    finds: /^backfill 1, 1 runs to start: broken$/,
  },
  { rule: 'backfill-count', sql: `${backfill({ pending: 2 })}; ${ONE_PENDING}`, finds: /^backfill 1$/ },
];
