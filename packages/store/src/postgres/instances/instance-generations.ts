import type { InstanceEndState, JsonObject } from '@keelson/core';
import type pg from 'pg';
import type { InstanceGeneration } from '../../instances.ts';
import { isId, iso, isoOrNull } from '../connection/rows.ts';

interface GenerationRow {
  readonly generation: number;
  readonly mode: InstanceGeneration['mode'];
  readonly task: string | null;
  readonly version: number;
  readonly params: JsonObject;
  readonly created_by: string;
  readonly created_at: Date;
  readonly state: InstanceEndState | null;
  readonly ended_at: Date | null;
}

const GENERATIONS = `
  with made as (
    select i.id, 1 as generation, 'first' as mode, null as task, i.version_id, i.params, i.created_by, i.created_at from workflow_instance i where i.id = $1
    union all
    select instance_id, generation, mode, task, version_id, params, created_by, created_at from instance_generation where instance_id = $1
  )
  select made.generation, mode, task, v.version, made.params, made.created_by, made.created_at, e.state, e.ended_at
    from made join workflow_version v on v.id = made.version_id
    left join instance_end e on e.instance_id = made.id and e.generation = made.generation
   order by made.generation`;

/** Oldest first; empty for an unknown instance. */
export async function readGenerations(pool: pg.Pool, id: string): Promise<InstanceGeneration[]> {
  if (!isId(id)) return [];
  const { rows } = await pool.query<GenerationRow>(GENERATIONS, [id]);
  return rows.map(({ created_by, created_at, ended_at, ...row }) => ({
    ...row,
    createdBy: created_by,
    createdAt: iso(created_at),
    endedAt: isoOrNull(ended_at),
  }));
}
