import type pg from 'pg';
import type { Doctor, Finding } from '../doctor.ts';
import { INVARIANTS } from './invariants.ts';
import { inSnapshot } from './transaction.ts';

const MOST_ROWS = 100;

export function createDoctor(pool: pg.Pool): Doctor {
  return {
    check: () =>
      inSnapshot(pool, async (client) => {
        const findings: Finding[] = [];
        for (const { name, explanation, sql } of INVARIANTS) {
          const { rows } = await client.query<{ instance_id: string | null; message: string }>(
            `select * from (${sql}) broken order by instance_id limit ${MOST_ROWS}`,
          );
          findings.push({
            name,
            explanation,
            rows: rows.map(({ instance_id, message }) => ({ instanceId: instance_id, message })),
          });
        }
        return findings;
      }),
  };
}
