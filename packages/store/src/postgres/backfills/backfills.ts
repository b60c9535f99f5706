import type { BackfillCounts, BackfillState, Clock, Reason } from '@keelson/core';
import { systemClock } from '@keelson/core/system';
import type {
  BackfillCreated,
  BackfillDraft,
  BackfillOperated,
  BackfillOperation,
  Backfills,
  DraftRun,
} from '../../backfills.ts';
import { again } from '../connection/again.ts';
import { backfillTurn, countCall, LEAVE_OUT, NOTE_EVENT } from './backfill-turn.ts';
import { call } from '../connection/session.ts';
import type { NextId } from '../schema/partitions.ts';
import type { Call, OpenSession, Session } from '../connection/session.ts';

const NEW_ID = { name: 'backfill-id', text: "select nextval('backfill_id') as id" };

/** A key that is taken, or an id that is there already, makes nothing. Waits for a transaction that is about to make the same. */
const CREATE = {
  name: 'backfill-create',
  text: `
  insert into backfill (id, workflow_id, state, parallel, priority, on_failure, again, members, params, request,
                        waiting, pending, running, succeeded, failed, stopped, skipped, key, body_hash, created_by, ended_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9::jsonb, $10::jsonb, $11, $12, 0, 0, 0, 0, $13, $14, $15, $16,
          case when $3 = 'done' then clock_timestamp() end)
  on conflict do nothing returning id`,
};

const CREATE_RUNS = {
  name: 'backfill-create-runs',
  text: `
  insert into backfill_run (backfill_id, seq, workflow_id, run_time, state, reason)
  select $1, u.seq, u.workflow_id, u.run_time, u.state, u.reason::jsonb
    from unnest($2::int[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[]) as u(seq, workflow_id, run_time, state, reason)`,
};

/** Of the id, or of the key. */
const FIND = {
  name: 'backfill-find',
  text: 'select id, body_hash from backfill where id = $1 or (workflow_id = $2 and key = $3) order by id = $1 desc limit 1',
};

/** Locks: the backfill's row, and waits for it: a person asks. */
const HOLD = {
  name: 'backfill-hold',
  text: 'select state, waiting, pending, running, succeeded, failed, stopped, skipped from backfill where id = $1 for no key update',
};

/** Locks: the live rows FOR KEY SHARE, as a stop of one instance does. Behind the hold: no instance is made meanwhile. */
const STOP_INSTANCES = {
  name: 'backfill-stop-instances',
  text: `
  with live as (
    select l.id, l.state from backfill_run r join live_instance l on l.id = r.instance_id
     where r.backfill_id = $1 and r.state = 'running' order by l.id for key share of l
  )
  insert into command (instance_id, kind, payload)
  select id, 'stop', jsonb_build_object('by', $2::text) from live
   where state <> 'stopping' and not exists (select from command c where c.instance_id = live.id and c.kind = 'stop') order by id
  returning instance_id`,
};

/** What is told to a backfill that retention has removed is told to nobody. */
const DUE = {
  name: 'backfill-due',
  text: `with untold as (
           delete from followup f where f.kind = 'backfill' and not exists (select from backfill b where b.id = f.subject_id)
         )
         select b.id, jsonb_path_query_array(b.members, '$[*].versionId') as version_ids,
                case when b.state = 'running' then least(b.pending + b.waiting, b.parallel - b.running
                  + (select count(*) from followup f where f.kind = 'backfill' and f.subject_id = b.id)) else 0 end::int as room
           from backfill b
          where b.id in (
            (select id from backfill where state = 'running' and pending > 0 and running < parallel order by id limit $1)
            union select subject_id from followup where kind = 'backfill')
          order by b.id limit $1`,
};

const NOTE_ERROR = {
  name: 'backfill-note-error',
  text: 'update backfill set last_error = $2 where id = $1 and last_error is distinct from $2',
};

const RUNS_AT_ONCE = 10_000;

/**
 * Masters' turns and operators' calls have a connection each.
 *
 * @param nextId hands out ids of instances, each once
 */
export function createBackfills(
  open: OpenSession,
  nextId: NextId,
  clock: Clock = systemClock,
): Backfills & { close(): Promise<void> } {
  const turns = open();
  const calls = open();
  return {
    create: async (draft) => {
      const [rows = []] = await calls.run([call(NEW_ID)]);
      const id: string = rows[0]?.id;
      return again(clock, () => createOne(calls, id, draft));
    },
    operate: (id, operation, by) => again(clock, () => operate(calls, id, operation, by)),
    due: async (limit) => {
      const [rows = []] = await turns.run([call(DUE, limit)]);
      return rows.map((row) => ({ id: row.id, room: row.room, versionIds: row.version_ids }));
    },
    turn: async (id, room, mind) => {
      const instanceIds = await Promise.all(Array.from({ length: room }, () => nextId(room)));
      return backfillTurn(turns, id, instanceIds, mind);
    },
    noteError: async (id, error) => void (await turns.run([call(NOTE_ERROR, id, error)])),
    close: async () => void (await Promise.all([turns.close(), calls.close()])),
  };
}

async function createOne(session: Session, id: string, draft: BackfillDraft): Promise<BackfillCreated> {
  const { workflowId, runs, idempotency } = draft;
  const count = (state: DraftRun['state']): number => runs.filter((run) => run.state === state).length;
  const waiting = count('waiting');
  const pending = count('pending');
  const transaction = session.begin();
  try {
    const [made = []] = await transaction.flight([
      call(
        CREATE,
        id,
        workflowId,
        waiting + pending === 0 ? 'done' : 'running',
        draft.parallel,
        draft.priority,
        draft.onFailure,
        draft.again,
        JSON.stringify(draft.members),
        JSON.stringify(draft.params),
        JSON.stringify(draft.request),
        waiting,
        pending,
        count('skipped'),
        idempotency?.key ?? null,
        idempotency?.bodyHash ?? null,
        draft.createdBy,
      ),
    ]);
    if (made.length > 0) {
      const created = call(NOTE_EVENT, id, 'created', draft.createdBy, null);
      const nothing = call(
        NOTE_EVENT,
        id,
        'ended',
        draft.createdBy,
        JSON.stringify({ message: 'there was nothing to run' }),
      );
      await transaction.commit([...runCalls(id, runs), created, ...(waiting + pending === 0 ? [nothing] : [])]);
      return { kind: 'created', id };
    }
    const [found = []] = await transaction.commit([call(FIND, id, workflowId, idempotency?.key ?? null)]);
    const holder = found[0];
    if (holder === undefined) throw new Error(`backfill ${id} was neither made nor is there`);
    if (holder.id === id) return { kind: 'created', id };
    return { kind: holder.body_hash === idempotency?.bodyHash ? 'existing' : 'key-conflict', id: holder.id };
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}

function runCalls(id: string, runs: readonly DraftRun[]): Call[] {
  const calls: Call[] = [];
  for (let from = 0; from < runs.length; from += RUNS_AT_ONCE) {
    const some = runs.slice(from, from + RUNS_AT_ONCE);
    calls.push(
      call(
        CREATE_RUNS,
        id,
        some.map((_, index) => from + index + 1),
        some.map(({ workflowId }) => workflowId),
        some.map(({ runTime }) => runTime),
        some.map(({ state }) => state),
        some.map(({ reason }) => (reason === undefined ? null : JSON.stringify(reason))),
      ),
    );
  }
  return calls;
}

type Held = { readonly state: BackfillState; readonly counts: BackfillCounts };

async function operate(
  session: Session,
  id: string,
  operation: BackfillOperation,
  by: string,
): Promise<BackfillOperated> {
  const transaction = session.begin();
  try {
    const [rows = []] = await transaction.flight([call(HOLD, id)]);
    const row = rows[0];
    if (row === undefined) {
      await transaction.rollback();
      return { outcome: 'unknown', stopping: 0 };
    }
    const { state, waiting, pending, running, succeeded, failed, stopped, skipped } = row;
    const held: Held = { state, counts: { waiting, pending, running, succeeded, failed, stopped, skipped } };
    const outcome = OUTCOMES[operation.kind][held.state];
    const calls = outcome === 'applied' ? change(id, held, operation.kind, by) : [];
    const stops = operation.kind === 'cancel' && operation.stop && outcome !== 'ended';
    if (calls.length === 0 && !stops) {
      await transaction.rollback();
      return { outcome, state: held.state, stopping: 0 };
    }
    const answers = await transaction.commit([...(stops ? [call(STOP_INSTANCES, id, by)] : []), ...calls]);
    const target = outcome === 'applied' ? TARGETS[operation.kind] : held.state;
    return { outcome, state: target, stopping: stops ? (answers[0]?.length ?? 0) : 0 };
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}

type Kind = BackfillOperation['kind'];

/** The table of docs/backfill.md. */
const OUTCOMES: Readonly<Record<Kind, Readonly<Record<BackfillState, 'applied' | 'already' | 'ended'>>>> = {
  pause: { running: 'applied', paused: 'already', cancelled: 'ended', done: 'ended' },
  resume: { running: 'already', paused: 'applied', cancelled: 'ended', done: 'ended' },
  cancel: { running: 'applied', paused: 'applied', cancelled: 'already', done: 'ended' },
};
const TARGETS: Readonly<Record<Kind, BackfillState>> = { pause: 'paused', resume: 'running', cancel: 'cancelled' };
const EVENTS: Readonly<Record<Kind, string>> = { pause: 'paused', resume: 'resumed', cancel: 'cancelled' };

function change(id: string, { counts }: Held, kind: Kind, by: string): Call[] {
  const note = call(NOTE_EVENT, id, EVENTS[kind], by, null);
  if (kind !== 'cancel') return [countCall(id, TARGETS[kind], counts, false), note];
  const reason: Reason = { code: 'backfill-cancelled', message: `the backfill was cancelled by ${by}` };
  const left = { ...counts, skipped: counts.skipped + counts.waiting + counts.pending, waiting: 0, pending: 0 };
  return [call(LEAVE_OUT, id, JSON.stringify(reason)), countCall(id, 'cancelled', left, left.running === 0), note];
}
