import type pg from 'pg';
import type { Doctor, Finding, Repair } from '../../doctor.ts';
import { INVARIANTS } from './invariants.ts';
import { repairInstance } from './doctor-repair.ts';
import { ConnectionLost } from '../connection/errors.ts';
import type { OpenSession } from '../connection/session.ts';
import { inSnapshot } from '../connection/transaction.ts';

const MOST_ROWS = 100;
/** What one repair uncovers another one mends; a repair that never comes to rest is a bug. */
const MOST_PASSES = 20;

/** @param open a session for repairs; each is a transaction of its own, and bounded as those of the masters are */
export function createDoctor(pool: pg.Pool, open: OpenSession): Doctor {
  const check = (): Promise<Finding[]> =>
    inSnapshot(pool, async (client) => {
      const findings: Finding[] = [];
      for (const { sql, remedy, ...invariant } of INVARIANTS) {
        const { rows } = await client.query<{ instance_id: string | null; message: string }>(
          `select * from (${sql}) broken order by instance_id limit ${MOST_ROWS}`,
        );
        findings.push({
          ...invariant,
          repair: 'repair' in remedy ? remedy.repair : null,
          byHand: 'byHand' in remedy ? remedy.byHand : null,
          rows: rows.map(({ instance_id, message }) => ({ instanceId: instance_id, message })),
        });
      }
      return findings;
    });
  return {
    check,
    repair: async (by) => {
      const session = open();
      const done: Repair[] = [];
      const failed = new Map<string, unknown>();
      try {
        for (let pass = 0; pass < MOST_PASSES; pass++) {
          const before = done.length;
          for (const { name, repair, rows } of await check()) {
            if (repair === null) continue;
            for (const id of new Set(rows.flatMap(({ instanceId }) => instanceId ?? []))) {
              const key = `${name} ${id}`;
              if (failed.has(key)) continue;
              const mended = await repairInstance(session, name, id, by).catch((error: unknown) => {
                if (error instanceof ConnectionLost) throw error;
                failed.set(key, error);
                return [];
              });
              done.push(...mended);
            }
          }
          if (done.length === before) break;
        }
        // What else is mended goes first: it is told why when nothing but that is left.
        const [why] = failed.values();
        if (done.length === 0 && why !== undefined) throw why;
      } finally {
        await session.close();
      }
      return done;
    },
  };
}
