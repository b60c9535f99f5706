import type pg from 'pg';
import type { VerifyOptions, Violation } from '../../verify.ts';

/** Instances of one look. */
const BATCH = 5000;

interface FiredRow {
  readonly id: string;
  readonly schedule_id: string | null;
  readonly run_time: Date;
  readonly fire: string | null;
  readonly outcome: string | null;
}

/**
 * Compares instances that the clock has started with the fires of their schedules, in the order of their ids: one fire per schedule and time, and
 * one instance per fire. A second instance of the same time finds the fire of the first.
 */
export async function* verifyFires(pool: pg.Pool, options: VerifyOptions, last: string): AsyncGenerator<Violation[]> {
  let after = '0';
  for (;;) {
    const { rows } = await pool.query<FiredRow>(
      `select i.id, i.schedule_id, i.run_time, f.instance_id as fire, f.outcome from (
         select id, schedule_id, run_time, trigger from workflow_instance
          where id > $1 and id <= $2 and ($3::bigint is null or id = $3) and ($4::bigint is null or id >= $4)
            and ($5::timestamptz is null or created_at >= $5) and trigger = 'schedule'
          order by id limit ${BATCH}) i
         left join fire f on f.schedule_id = i.schedule_id and f.due_at = i.run_time order by i.id`,
      [after, last, options.instance ?? null, options.sinceId ?? null, options.sinceTime ?? null],
    );
    const end = rows.at(-1);
    if (end === undefined) return;
    yield rows.flatMap(differences);
    after = end.id;
  }
}

function differences({ id, schedule_id, run_time, fire, outcome }: FiredRow): Violation[] {
  if (fire === id && outcome === 'fired') return [];
  const time = run_time.toISOString();
  return [
    {
      instanceId: id,
      task: null,
      check: 'fire',
      expected: `the fire of schedule ${schedule_id ?? 'none'} at ${time} started it`,
      found: outcome === null ? 'no such fire' : fire === null ? `it ${outcome}` : `it started instance ${fire}`,
    },
  ];
}
