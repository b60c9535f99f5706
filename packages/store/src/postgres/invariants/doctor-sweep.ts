import type { Pace, Repair, Swept } from '../../doctor.ts';
import { repairInstance } from './doctor-repair.ts';
import { ConnectionLost } from '../connection/errors.ts';
import { INVARIANTS } from './invariants.ts';
import { call } from '../connection/session.ts';
import type { Session } from '../connection/session.ts';

/** Any constant will do, as long as every Keelson takes the same one. */
const SWEEP_LOCK = 7_305_114_212;
/** Rows of one rule that a round takes up. */
const MOST_ROWS = 100;

/**
 * One master at a time: the lock belongs to the transaction that looks, so it goes with its connection. Repairs come after it, each under the
 * lock of its instance. The rules join more than the engine's statements do, so this transaction plans as PostgreSQL would by itself.
 */
const TURN = {
  name: 'sweep-turn',
  text: `select pg_try_advisory_xact_lock($1) as mine, ${['seqscan', 'hashjoin', 'mergejoin', 'bitmapscan']
    .map((method) => `set_config('enable_${method}', 'on', true)`)
    .join(', ')}, set_config('plan_cache_mode', 'force_custom_plan', true)`,
};

const CHECKS = INVARIANTS.map((invariant) => ({
  ...invariant,
  statement: {
    name: `check-${invariant.name}`,
    text: `select * from (${invariant.sql}) broken order by instance_id limit ${MOST_ROWS}`,
  },
}));

/** Looks by the rules of this pace and mends what can be mended safely. Answers undefined when another master is at it. */
export async function sweep(session: Session, pace: Pace): Promise<Swept | undefined> {
  const checks = CHECKS.filter((check) => check.pace === pace);
  const transaction = session.begin();
  const [turn = []] = await transaction.flight([call(TURN, SWEEP_LOCK)]);
  if (turn[0]?.mine !== true) {
    await transaction.rollback();
    return undefined;
  }
  const found = await transaction.commit(checks.map(({ statement }) => call(statement)));
  const repairs: Repair[] = [];
  const left: Swept['left'][number][] = [];
  for (const [index, { name, remedy }] of checks.entries()) {
    const rows = (found[index] ?? []).map((row) => ({
      instanceId: row.instance_id as string | null,
      message: String(row.message),
    }));
    const mended = new Set<string>();
    const failed = new Map<string, string>();
    if ('statements' in remedy)
      for (const id of new Set(rows.flatMap(({ instanceId }) => instanceId ?? []))) {
        const done = await repairInstance(session, name, id, 'sweeper').catch((error: unknown) => {
          if (error instanceof ConnectionLost) throw error;
          // One that cannot be mended must not keep the others from it, round after round.
          failed.set(id, `it could not be mended: ${error instanceof Error ? error.message : String(error)}`);
          return [];
        });
        repairs.push(...done);
        if (done.length > 0) mended.add(id);
      }
    const remedied = 'byHand' in remedy ? remedy.byHand : remedy.repair;
    for (const row of rows) {
      if (row.instanceId !== null && mended.has(row.instanceId)) continue;
      left.push({ rule: name, byHand: failed.get(row.instanceId ?? '') ?? remedied, ...row });
    }
  }
  return { repairs, left };
}
