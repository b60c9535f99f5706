import type { Execution, Steps } from '../execution.ts';
import type { ActiveRow, CounterRow, EndRow, LiveRow } from '../rows.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import { sqlError } from '../sql-error.ts';
import { flag, id, idList, json, number, orNull, text, textList, unnest } from '../values.ts';
import { alert, inOrder, note } from './emulation.ts';
import type { Emulations } from './emulation.ts';
import { endedFollowups } from './ended.ts';

type LiveChange = Pick<
  LiveRow,
  | 'id'
  | 'revision'
  | 'state'
  | 'unfinished'
  | 'failed'
  | 'ending'
  | 'has_artifacts'
  | 'failure'
  | 'begun'
  | 'ended_ahead'
  | 'priority'
>;

interface EndedRun {
  readonly instance_id: string;
  readonly generation: number;
  readonly task: string;
  readonly state: string;
  readonly attempt: number;
  readonly attempt_id: string | null;
  readonly started_ago: number | null;
  readonly ended_ago: number | null;
  readonly reason: unknown;
}

const ENDED_RUN = {
  instance_id: id,
  generation: number,
  task: text,
  state: text,
  attempt: number,
  attempt_id: orNull(id),
  started_ago: orNull(number),
  ended_ago: orNull(number),
  reason: json,
} as const;

/** The columns that a run has from what was reported and from its active row. */
function ended(run: EndedRun, active: ActiveRow | undefined, now: number) {
  const { instance_id, generation, task, state, attempt, attempt_id, started_ago, ended_ago, reason } = run;
  return {
    instance_id,
    generation,
    task,
    state,
    attempt,
    attempt_id,
    reason,
    incarnation_id: active?.incarnation_id ?? null,
    ready_at: active?.ready_at ?? null,
    dispatched_at: active?.dispatched_at ?? null,
    started_at: active?.started_at ?? (started_ago === null ? null : now - started_ago),
    ended_at: now - (ended_ago ?? 0),
  };
}

/** What a step writes of runs, counters and instances: see postgres/engine/step/write-tasks.ts and write-instances.ts. */
export const STEP_WRITE: Emulations = {
  *'write-live'(it, { live_instance }, values) {
    const changes = unnest<LiveChange>(values, {
      id,
      revision: number,
      state: text,
      unfinished: number,
      failed: number,
      ending: flag,
      has_artifacts: flag,
      failure: json,
      begun: flag,
      ended_ahead: flag,
      priority: number,
    });
    for (const change of changes) {
      const found = it.byKey(live_instance, change.id);
      if (found !== undefined) yield* it.update(found, (row) => ({ ...row, ...change }));
    }
    return [];
  },

  *'write-finished'(it, { finished_task, active }, values) {
    const now = it.clock.now();
    const runs = unnest<EndedRun & { outputs: unknown; artifacts: unknown }>(values, {
      ...ENDED_RUN,
      outputs: json,
      artifacts: json,
    });
    for (const run of runs) {
      const held = run.attempt_id === null ? undefined : it.byKey(active, run.attempt_id)?.row;
      const { outputs, artifacts } = run;
      yield* it.insert(finished_task, { ...ended(run, held, now), outputs, artifacts, carried_from: null });
    }
    return [];
  },

  *'write-carried'(it, { finished_task }, values) {
    const keys = unnest<{ instance_id: string; generation: number; task: string }>(values, {
      instance_id: id,
      generation: number,
      task: text,
    });
    for (const { instance_id, generation, task } of keys) {
      const row = it.byKey(finished_task, keyOf(instance_id, task, generation - 1))?.row;
      const carried_from = row?.carried_from ?? generation - 1;
      if (row !== undefined) yield* it.insert(finished_task, { ...row, generation, carried_from });
    }
    return [];
  },

  *'write-earlier'(it, { earlier_attempt, active }, values) {
    const now = it.clock.now();
    for (const run of unnest<EndedRun>(values, ENDED_RUN)) {
      const held = run.attempt_id === null ? undefined : it.byKey(active, run.attempt_id)?.row;
      if (held === undefined) continue;
      const { ready_at, dispatched_at, incarnation_id, id: attempt_id, subtask } = held;
      const known = { ready_at, dispatched_at, incarnation_id, attempt_id, subtask };
      yield* it.insert(earlier_attempt, { ...ended(run, held, now), ...known });
    }
    return [];
  },

  *'write-release'(it, { active }, [ids]) {
    const wanted = new Set(idList(ids));
    for (const found of inOrder(
      it.all(active, (row) => wanted.has(row.id)),
      (row) => row.id,
    ))
      yield* it.remove(found);
    return [];
  },

  *'write-counters'(it, tables, values) {
    const counters = unnest<CounterRow>(values, { instance_id: id, task: text, met: number });
    for (const counter of counters) yield* upsertCounter(it, tables, counter);
    return [];
  },

  *'drop-counters'(it, { need_counter }, values) {
    for (const { instance_id, task } of unnest<Pick<CounterRow, 'instance_id' | 'task'>>(values, {
      instance_id: id,
      task: text,
    })) {
      const found = it.byKey(need_counter, keyOf(instance_id, task));
      if (found !== undefined) yield* it.remove(found);
    }
    return [];
  },

  *'write-history'(it, tables, values) {
    for (const row of unnest<{ id: string; events: unknown }>(values, { id, events: json }))
      yield* note(it, tables, row.id, row.events as readonly unknown[]);
    return [];
  },

  *'write-alerts'(it, tables, values) {
    const alerts = unnest<{ kind: string; id: string | null; payload: unknown }>(values, {
      kind: text,
      id: orNull(id),
      payload: json,
    });
    for (const { kind, id: instanceId, payload } of alerts) yield* alert(it, tables, kind, instanceId, payload);
    return [];
  },

  *'write-remaining'(it, { finished_task }, [instance, generation, state, reason, tasks]) {
    for (const task of textList(tasks))
      yield* it.insert(
        finished_task,
        {
          instance_id: id(instance),
          generation: number(generation),
          task,
          state: text(state),
          attempt: 0,
          attempt_id: null,
          incarnation_id: null,
          ready_at: null,
          dispatched_at: null,
          started_at: null,
          ended_at: it.clock.now(),
          reason: json(reason),
          outputs: null,
          artifacts: null,
          carried_from: null,
        },
        'finished_task_pkey',
      );
    return [];
  },

  *'drop-all-counters'(it, { need_counter }, [instance]) {
    for (const found of it.all(need_counter, (row) => row.instance_id === id(instance))) yield* it.remove(found);
    return [];
  },

  *'write-ends'(it, { instance_end }, values) {
    type Ended = Omit<EndRow, 'instance_id' | 'ended_at'> & { id: string };
    for (const end of unnest<Ended>(values, { id, generation: number, state: text, reason: json })) {
      const { id: instance_id, generation, state, reason } = end;
      yield* it.insert(instance_end, { instance_id, generation, state, reason, ended_at: it.clock.now() });
    }
    return [];
  },

  *'delete-live'(it, tables, [ids]) {
    const wanted = new Set(idList(ids));
    const gone: LiveRow[] = [];
    for (const found of inOrder(
      it.all(tables.live_instance, (row) => wanted.has(row.id)),
      (row) => row.id,
    )) {
      const row = yield* it.remove(found);
      if (row !== undefined) gone.push(row);
    }
    return (yield* endedFollowups(it, tables, gone)).map((kind) => ({ kind }));
  },

  *'delete-commands'(it, { command }, [ids]) {
    const wanted = new Set(idList(ids));
    for (const found of inOrder(
      it.all(command, (row) => wanted.has(row.id)),
      (row) => row.id,
    ))
      yield* it.remove(found);
    return [];
  },

  *'delete-commands-of-ended'(it, { command }, [ids]) {
    const wanted = new Set(idList(ids));
    for (const found of it.all(command, (row) => wanted.has(row.instance_id))) yield* it.remove(found);
    return [];
  },
};

function* upsertCounter(it: Execution, { need_counter }: Tables, counter: CounterRow): Steps<void> {
  if ((yield* it.insert(need_counter, counter, 'need_counter_pkey')) !== undefined) return;
  const found = it.byKey(need_counter, keyOf(counter.instance_id, counter.task));
  if (found === undefined) throw sqlError('21000', 'ON CONFLICT DO UPDATE command cannot affect row a second time');
  yield* it.update(found, (row) => ({ ...row, met: counter.met }));
}
