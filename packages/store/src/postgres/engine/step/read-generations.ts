import type { PriorEnd, TaskPlace } from '@keelson/core';
import type { GenerationKey } from '../../../engine.ts';
import { call } from '../../connection/session.ts';
import type { Call, Rows } from '../../connection/session.ts';

/** Without outputs: few of them are asked for. What ran is told by the generation in which the task ended. */
const PRIOR = {
  name: 'step-prior',
  text: `select k.instance_id, f.task, f.state, f.reason, f.artifacts is not null as artifacts,
                f.attempt_id is not null
                or exists (select from earlier_attempt e
                            where e.instance_id = k.instance_id and e.task = f.task and e.generation = coalesce(f.carried_from, f.generation))
                or exists (select from finished_subtask s
                            where s.instance_id = k.instance_id and s.task = f.task and s.generation = coalesce(f.carried_from, f.generation)
                              and s.dispatched_at is not null) as ran
           from unnest($1::bigint[], $2::int[]) as k(instance_id, generation)
          cross join lateral (select * from finished_task where instance_id = k.instance_id and generation = k.generation offset 0) f`,
};

/** Of one moment: what a claim or a timer moves meanwhile is found once. */
const PLACES = {
  name: 'step-places',
  text: `select k.instance_id, k.task, p.place from unnest($1::bigint[], $2::text[]) as k(instance_id, task)
          cross join lateral (
            select 'active' as place from active where instance_id = k.instance_id and task = k.task
            union select 'ready' from ready where instance_id = k.instance_id and task = k.task
            union select 'delayed' from delayed where instance_id = k.instance_id and task = k.task
            union select 'held' from held where instance_id = k.instance_id and task = k.task
            offset 0) p`,
};

export const priorEnds = (keys: readonly GenerationKey[]): Call =>
  call(
    PRIOR,
    keys.map(({ instanceId }) => instanceId),
    keys.map(({ generation }) => generation),
  );

export const placesOf = (keys: readonly { readonly instanceId: string; readonly task: string }[]): Call =>
  call(
    PLACES,
    keys.map(({ instanceId }) => instanceId),
    keys.map(({ task }) => task),
  );

/** The ends of one instance's tasks, with the outputs that were read apart. */
export function priorFrom(ends: Rows, outputs: Rows): Map<string, PriorEnd> {
  const known = new Map(outputs.map((row) => [row.task, row.outputs]));
  return new Map(
    ends.map(({ task, state, reason, ran, artifacts }) => [
      task,
      { state, reason, ran, artifacts, outputs: known.get(task) ?? {} },
    ]),
  );
}

/** Every task that was asked for has a place; `none` is one. */
export function placesInto(into: Map<string, TaskPlace>, tasks: readonly string[], rows: Rows): Map<string, TaskPlace> {
  for (const task of tasks) into.set(task, 'none');
  for (const { task, place } of rows) if (into.get(task) !== 'active') into.set(task, place);
  return into;
}
