import type { Execution, Steps } from '../execution.ts';
import type { CommandRow, GenerationRow, LiveRow } from '../rows.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import { id, json, number, orNull, text, textList } from '../values.ts';
import { command, followup, inOrder, note } from './emulation.ts';
import type { Emulations } from './emulation.ts';

interface Ahead extends Pick<LiveRow, 'id' | 'generation' | 'priority'> {
  /** When the commands that wait are applied. */
  readonly state: string;
}

/** What people ask of instances: see postgres/engine/operations.ts. */
export const OPERATIONS: Emulations = {
  *'operate-steer'(it, tables, [instance, kind, by, states]) {
    const ahead = yield* lookAhead(it, tables, id(instance));
    const asked = applies(ahead, states);
    if (asked) yield* command(it, tables, id(instance), text(kind), { by: text(by) });
    return [answer(it, tables, id(instance), ahead, asked)];
  },

  *'operate-skip'(it, tables, [instance, name, by, states]) {
    const key = id(instance);
    const task = text(name);
    const ahead = yield* lookAhead(it, tables, key);
    const waiting = commandsOf(it, tables, key).some(
      ({ kind, payload }) => kind === 'skip-task' && payloadOf(payload)['task'] === task,
    );
    const generation = ahead?.generation ?? 0;
    const ended = it.byKey(tables.finished_task, keyOf(key, task, generation))?.row;
    const [held] = it.all(tables.active, (row) => row.instance_id === key && row.task === task);
    const asked = applies(ahead, states) && !waiting && ended === undefined && held === undefined;
    if (asked) yield* command(it, tables, key, 'skip-task', { task, by: text(by) });
    const active = held === undefined ? null : held.row.subtask === '0' ? held.row.state : 'running';
    const code = payloadOf(ended?.reason)['code'] ?? null;
    return [
      {
        ...answer(it, tables, key, ahead, asked),
        waiting,
        ended: ended?.state ?? null,
        code,
        held: active,
      },
    ];
  },

  *'operate-prioritise'(it, tables, [instance, wanted, by, states]) {
    const key = id(instance);
    const ahead = yield* lookAhead(it, tables, key);
    const last = commandsOf(it, tables, key).findLast(({ kind }) => kind === 'set-priority');
    const priority = last === undefined ? ahead?.priority : payloadOf(last.payload)['priority'];
    const asked = applies(ahead, states) && priority !== number(wanted);
    if (asked) yield* command(it, tables, key, 'set-priority', { priority: number(wanted), by: text(by) });
    return [answer(it, tables, key, ahead, asked)];
  },

  *'begin-generation'(it, tables, values) {
    const [instance, after, mode, task, version, params, by, tasks] = values;
    const key = id(instance);
    const born = it.byKey(tables.workflow_instance, key)?.row;
    const alive = it.byKey(tables.live_instance, key) !== undefined;
    if (born === undefined || alive || lastEnd(it, tables, key) !== number(after)) return [];
    const row: GenerationRow = {
      instance_id: key,
      generation: number(after) + 1,
      mode: text(mode),
      task: orNull(text)(task),
      version_id: id(version),
      params: json(params),
      created_by: text(by),
      created_at: it.clock.now(),
    };
    const made = yield* it.insert(tables.instance_generation, row, 'instance_generation_pkey');
    if (made === undefined) return [];
    const { workflow_id, priority, backfill_id } = born;
    const limited = (it.byKey(tables.concurrency, workflow_id)?.row.slots ?? null) !== null;
    const { version_id, generation } = made;
    yield* it.insert(tables.live_instance, {
      id: key,
      workflow_id,
      version_id,
      generation,
      revision: 0,
      state: limited ? 'queued' : 'running',
      unfinished: number(tasks),
      failed: 0,
      ending: false,
      has_artifacts: false,
      failure: null,
      priority,
      begun: false,
      ended_ahead: false,
      limited,
      place: it.next('live_instance_place'),
      schedule_id: null,
      backfill_id,
    });
    const of = { mode: made.mode, ...(made.task === null ? {} : { task: made.task }), by: made.created_by };
    if (limited) yield* followup(it, tables, 'admission', workflow_id, key);
    else yield* command(it, tables, key, 'begin', of);
    const said = { generation, version: version_id, ...(limited ? { queued: true } : {}) };
    yield* note(it, tables, key, [{ type: 'generation-created', ...of, ...said }]);
    return [{ limited }];
  },

  'begin-look': (it, tables, [instance, after, mode, task, version, params]) => {
    const key = id(instance);
    if (it.byKey(tables.workflow_instance, key) === undefined) return [];
    const live = it.byKey(tables.live_instance, key)?.row;
    const made = it.byKey(tables.instance_generation, keyOf(key, number(after) + 1))?.row;
    const same =
      made === undefined
        ? null
        : made.mode === text(mode) &&
          made.task === orNull(text)(task) &&
          made.version_id === id(version) &&
          canonical(made.params) === canonical(json(params));
    return [
      {
        live_generation: live?.generation ?? null,
        state: live?.state ?? null,
        ended_generation: lastEnd(it, tables, key) ?? null,
        same,
      },
    ];
  },
};

const STEERS: Readonly<Record<string, string>> = { pause: 'pausing', resume: 'running', stop: 'stopping' };

function* lookAhead(it: Execution, tables: Tables, key: string): Steps<Ahead | undefined> {
  const found = it.byKey(tables.live_instance, key);
  const live = found === undefined ? undefined : (yield* it.lock(found, 'key share'))?.row;
  if (live === undefined) return undefined;
  const steering = commandsOf(it, tables, key).flatMap(({ kind }) => STEERS[kind] ?? []);
  const state = steering.includes('stopping') ? 'stopping' : (steering.at(-1) ?? live.state);
  return { ...live, state };
}

function commandsOf(it: Execution, tables: Tables, key: string): CommandRow[] {
  return inOrder(
    it.all(tables.command, (row) => row.instance_id === key),
    (row) => row.id,
  ).map(({ row }) => row);
}

const applies = (ahead: Ahead | undefined, states: unknown): boolean =>
  ahead !== undefined && textList(states).includes(ahead.state);

const answer = (
  it: Execution,
  tables: Tables,
  key: string,
  ahead: Ahead | undefined,
  asked: boolean,
): Record<string, unknown> => ({
  state: ahead?.state ?? null,
  asked,
  known: it.byKey(tables.workflow_instance, key) !== undefined,
});

function payloadOf(payload: unknown): Readonly<Record<string, unknown>> {
  return typeof payload === 'object' && payload !== null ? (payload as Record<string, unknown>) : {};
}

function lastEnd(it: Execution, tables: Tables, key: string): number | undefined {
  const ends = it.all(tables.instance_end, (row) => row.instance_id === key).map(({ row }) => row.generation);
  return ends.length === 0 ? undefined : Math.max(...ends);
}

/** As jsonb compares. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : inner,
  );
}
