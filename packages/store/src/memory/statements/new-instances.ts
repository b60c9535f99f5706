import type { Execution, Steps } from '../execution.ts';
import type { Tables } from '../schema.ts';
import { byId } from '../values.ts';
import { command, followup, note } from './emulation.ts';

/** An instance that is to be made: the columns of the source of postgres/new-instances.ts. */
export interface NewInstance {
  readonly id: string;
  readonly workflow_id: string;
  readonly version_id: string;
  readonly task_count: number;
  readonly params: unknown;
  readonly run_time: number;
  readonly priority: number;
  readonly created_by: string;
  readonly trigger: string;
  readonly schedule_id: string | null;
  readonly backfill_id: string | null;
  /** Whether its schedule wants to hear of its end; absent: it does. */
  readonly heard?: boolean;
}

/** What postgres/new-instances.ts does. Answers the instances that were made, and which of them wait for a slot. */
export function* newInstances(
  it: Execution,
  tables: Tables,
  wanted: readonly NewInstance[],
): Steps<{ id: string; limited: boolean }[]> {
  const fresh: NewInstance[] = [];
  for (const one of wanted) if (yield* insertInstance(it, tables, one)) fresh.push(one);
  const made = fresh.map((one) => {
    const slots = it.byKey(tables.concurrency, one.workflow_id)?.row.slots ?? null;
    return { ...one, limited: slots !== null };
  });
  const sorted = made.toSorted(byId);
  for (const {
    id,
    workflow_id,
    version_id,
    task_count,
    priority,
    limited,
    schedule_id,
    backfill_id,
    heard = true,
  } of sorted)
    yield* it.insert(tables.live_instance, {
      id,
      workflow_id,
      version_id,
      generation: 1,
      revision: 0,
      state: limited ? 'queued' : 'running',
      unfinished: task_count,
      failed: 0,
      ending: false,
      has_artifacts: false,
      failure: null,
      priority,
      begun: false,
      ended_ahead: false,
      limited,
      place: it.next('live_instance_place'),
      schedule_id: heard ? schedule_id : null,
      backfill_id,
    });
  for (const { id, limited } of sorted) if (!limited) yield* command(it, tables, id, 'start');
  for (const { id, workflow_id, limited } of sorted)
    if (limited) yield* followup(it, tables, 'admission', workflow_id, id);
  const held = new Set(sorted.flatMap(({ id, limited }) => (limited ? [id] : [])));
  for (const { id, created_by: by, version_id: version } of made)
    yield* note(it, tables, id, [{ type: 'instance-created', by, version, ...(held.has(id) && { queued: true }) }]);
  return sorted.map(({ id, limited }) => ({ id, limited }));
}

function* insertInstance(it: Execution, { workflow_instance }: Tables, wanted: NewInstance): Steps<boolean> {
  const row = {
    id: wanted.id,
    workflow_id: wanted.workflow_id,
    version_id: wanted.version_id,
    params: wanted.params,
    run_time: wanted.run_time,
    trigger: wanted.trigger,
    priority: wanted.priority,
    created_by: wanted.created_by,
    created_at: it.clock.now(),
    schedule_id: wanted.schedule_id,
    backfill_id: wanted.backfill_id,
  };
  return (yield* it.insert(workflow_instance, row, 'workflow_instance_pkey')) !== undefined;
}
