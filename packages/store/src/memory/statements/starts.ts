import type { Execution, Steps } from '../execution.ts';
import { keyOf } from '../schema.ts';
import type { Tables } from '../schema.ts';
import { byNumber, id, json, number, orNull, text, time, unnest } from '../values.ts';
import type { Emulations } from './emulation.ts';
import { newInstances } from './new-instances.ts';

interface Asked {
  readonly id: string;
  readonly workflow_id: string;
  readonly version_id: string;
  readonly task_count: number;
  readonly params: unknown;
  readonly run_time: number;
  readonly priority: number;
  readonly created_by: string;
  readonly key: string | null;
  readonly body_hash: string | null;
}

const KEY_AGE_MS = 7 * 24 * 60 * 60 * 1000;
const FORGET_AT_ONCE = 1000;

/** Starts: see postgres/engine/starts.ts. */
export const STARTS: Emulations = {
  'instance-ids': (it, _tables, [count]) =>
    Array.from({ length: number(count) }, () => ({ id: it.next('instance_id') })),

  *start(it, tables, values) {
    const asked = unnest<Asked>(values, {
      id,
      workflow_id: id,
      version_id: id,
      task_count: number,
      params: json,
      run_time: time,
      priority: number,
      created_by: text,
      key: orNull(text),
      body_hash: orNull(text),
    });
    const claimed = yield* claimKeys(it, tables, asked);
    const wanted = asked.filter(({ id, key }) => key === null || claimed.has(id));
    return yield* newInstances(
      it,
      tables,
      wanted.map((one) => ({ ...one, trigger: 'manual', schedule_id: null, backfill_id: null })),
    );
  },

  'start-key': (it, { start_key }, [workflow, key]) => {
    const row = it.byKey(start_key, keyOf(id(workflow), text(key)))?.row;
    return row === undefined ? [] : [{ instance_id: row.instance_id, body_hash: row.body_hash }];
  },

  'instance-exists': (it, { workflow_instance }, [instance]) => {
    const row = it.byKey(workflow_instance, id(instance))?.row;
    return row === undefined ? [] : [{ id: row.id }];
  },

  *'forget-keys'(it, { start_key }) {
    const old = it
      .all(start_key, (row) => row.created_at < it.startedAt - KEY_AGE_MS)
      .toSorted((one, other) => one.row.created_at - other.row.created_at);
    const gone = [];
    for (const found of old) {
      if (gone.length >= FORGET_AT_ONCE) break;
      if ((yield* it.lock(found, 'update', 'skip')) === undefined) continue;
      const row = yield* it.remove(found);
      if (row !== undefined) gone.push({ key: row.key });
    }
    return gone;
  },
};

/** In the order of the keys, so that two batches wait for each other instead of deadlocking. */
function* claimKeys(it: Execution, { start_key }: Tables, asked: readonly Asked[]): Steps<Set<string>> {
  const claimed = new Set<string>();
  const wanted = asked.flatMap(({ id, workflow_id, key, body_hash }) =>
    key === null ? [] : [{ workflow_id, key, body_hash: text(body_hash), instance_id: id }],
  );
  for (const one of wanted.toSorted((a, b) => byNumber(a.workflow_id, b.workflow_id) || (a.key < b.key ? -1 : 1))) {
    const row = yield* it.insert(start_key, { ...one, created_at: it.startedAt }, 'start_key_pkey');
    if (row !== undefined) claimed.add(row.instance_id);
  }
  return claimed;
}
