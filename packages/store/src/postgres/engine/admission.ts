import type { ConcurrencyPolicy, Reason } from '@keelson/core';
import type { Admission, Admitted } from '../../admission.ts';
import { call } from '../connection/session.ts';
import type { Call, OpenSession, Rows, Session, Transaction } from '../connection/session.ts';

const ASKED = `select id, subject_id from followup where kind = 'admission' order by id limit $1`;

/** Locks: limits, in the order of their workflows; one that another master is at is left to it. Instances are locked after limits, never the other way round. */
const LOCK = {
  name: 'admission-lock',
  text: `select c.workflow_id, c.settled or c.slots is null as settled from concurrency c
          where c.workflow_id in (select subject_id from (${ASKED}) f) order by c.workflow_id for update skip locked`,
};

const WAITS = `l.workflow_id = r.workflow_id and l.limited and l.state = 'queued'
               and not exists (select from slot s where s.workflow_id = l.workflow_id and s.instance_id = l.id)
               and not exists (select from command d where d.instance_id = l.id and d.kind = 'discard')`;

/**
 * What is asked for and who waits, seen after the lock. The follow-ups are those of this very look: one that comes later is for a later look,
 * which sees what it stands for. Where nothing is free nobody is looked for, unless the policy discards.
 */
const READ = {
  name: 'admission-read',
  text: `with asked as (
           select subject_id as workflow_id, array_agg(id::text order by id) as followups from (${ASKED}) f group by subject_id
         ), room as (
           select a.workflow_id, a.followups, coalesce(c.policy, 'parallel') as policy, c.slots, h.held, c.workflow_id is not null as is_known,
                  case when c.slots is null or c.policy = 'serial-discard' then $2 else least(greatest(c.slots - h.held, 0), $2) end as most
             from asked a left join concurrency c using (workflow_id)
            cross join lateral (select count(*)::int as held from slot s where s.workflow_id = a.workflow_id) h
         )
         select r.workflow_id, r.followups, r.policy, r.slots, r.held, r.is_known,
                array(select l.id::text from live_instance l where r.policy <> 'serial-priority' and ${WAITS} order by l.place limit r.most)
                || array(select l.id::text from live_instance l where r.policy = 'serial-priority' and ${WAITS}
                          order by l.priority desc, l.place limit r.most) as waiting
           from room r order by r.workflow_id`,
};

/**
 * Gives slots to instances that run without one: they were started before there was a limit. Locks: their live rows, as a step does; one that a
 * step holds is left for the next time.
 */
const ADOPT = {
  name: 'admission-adopt',
  text: `with strangers as (
           select id, workflow_id from live_instance where workflow_id = any($1::bigint[]) and not limited
         ), free as (
           select l.id, l.workflow_id from live_instance l where l.id = any(array(select id from strangers)) and not l.limited
            order by l.id for no key update skip locked
         ), marked as (
           update live_instance l set limited = true from free where l.id = free.id
         ), given as (
           insert into slot (workflow_id, instance_id, held_since)
           select f.workflow_id, f.id, c.changed_at from free f join concurrency c using (workflow_id)
         )
         select distinct s.workflow_id from strangers s where s.id not in (select id from free) order by s.workflow_id`,
};

/** No transaction lasts for so long: whoever started an instance without having seen the limit has committed, or never will. */
const SETTLE = {
  name: 'admission-settle',
  text: `update concurrency set settled = true
          where workflow_id = any($1::bigint[]) and slots is not null and changed_at < clock_timestamp() - interval '30 seconds'`,
};

/**
 * Locks: live rows as a step does, so that an instance is never given a slot while it ends. One that a step holds is passed over, and its workflow
 * looked at again.
 */
const WRITE = {
  name: 'admission-write',
  text: `with chosen as (
           select * from unnest($1::bigint[], $2::bigint[], $3::text[]) with ordinality as u(id, workflow_id, reason, nr)
         ), free as (
           select l.id, l.generation from live_instance l where l.id = any($1::bigint[]) and l.state = 'queued' order by l.id for no key update skip locked
         ), given as (
           insert into slot (workflow_id, instance_id) select c.workflow_id, c.id from chosen c join free using (id) where c.reason is null
         ), told as (
           insert into command (instance_id, kind, payload)
           select f.id, case when c.reason is not null then 'discard' when f.generation = 1 then 'start' else 'begin' end,
                  case when c.reason is not null then jsonb_build_object('reason', c.reason::jsonb)
                       when f.generation = 1 then '{}'
                       else jsonb_strip_nulls(jsonb_build_object('mode', g.mode, 'task', g.task, 'by', g.created_by)) end
             from chosen c join free f using (id) left join instance_generation g on g.instance_id = f.id and g.generation = f.generation
            order by c.nr
         ), done as (
           delete from followup where id = any($4::bigint[])
              and subject_id not in (select workflow_id from chosen where id not in (select id from free))
         )
         select id from free`,
};

/** Follow-ups that one look takes up, and instances per workflow that it decides about. */
const MOST_FOLLOWUPS = 5000;
const MOST_PER_WORKFLOW = 500;

/** Admissions, on a connection of their own: two round trips each. */
export function createAdmission(open: OpenSession): Admission & { close(): Promise<void> } {
  const session = open();
  return { admit: () => admit(session), close: () => session.close() };
}

interface Queue {
  readonly workflowId: string;
  readonly followups: readonly string[];
  readonly policy: ConcurrencyPolicy;
  readonly slots: number | null;
  readonly held: number;
  /** In the order in which they get slots. */
  readonly waiting: readonly string[];
}

async function admit(session: Session): Promise<Admitted> {
  const transaction = session.begin();
  try {
    const read = call(READ, MOST_FOLLOWUPS, MOST_PER_WORKFLOW);
    const [locked = [], seen = []] = await transaction.flight([call(LOCK, MOST_FOLLOWUPS), read]);
    const unsettled = locked.filter((row) => row.settled === false).map((row): string => row.workflow_id);
    const { rows, unknown } = await adoptStrangers(transaction, unsettled, read, seen);
    // Where there is no limit any more, nobody can be at it.
    const unlimited = rows.filter((row) => row.is_known === false);
    const ours = new Set([...locked, ...unlimited].map((row): string => row.workflow_id));
    for (const id of unknown) ours.delete(id);
    const queues = rows.map(queueFrom).filter(({ workflowId }) => ours.has(workflowId));
    if (queues.length === 0) {
      await transaction.rollback();
      return { admitted: [], discarded: [], left: rows.length > 0 ? 'busy' : 'nothing' };
    }
    const chosen = queues.map(choose);
    const settled = unsettled.filter((id) => ours.has(id));
    const [free = []] = await transaction.commit([
      write(chosen),
      ...(settled.length > 0 ? [call(SETTLE, settled)] : []),
    ]);
    return outcome(chosen, new Set(free.map((row): string => row.id)), queues.length < rows.length);
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}

/** While a limit is new, what runs without a slot is found, and counted before anybody is given one. */
async function adoptStrangers(
  transaction: Transaction,
  unsettled: readonly string[],
  read: Call,
  seen: Rows,
): Promise<{ readonly rows: Rows; readonly unknown: readonly string[] }> {
  if (unsettled.length === 0) return { rows: seen, unknown: [] };
  const [busy = [], rows = []] = await transaction.flight([call(ADOPT, unsettled), read]);
  return { rows, unknown: busy.map((row) => row.workflow_id) };
}

function queueFrom(row: Rows[number]): Queue {
  const { workflow_id: workflowId, followups, policy, slots, held, waiting } = row;
  return { workflowId, followups, policy, slots, held, waiting };
}

interface Chosen {
  readonly queue: Queue;
  readonly admitted: readonly string[];
  readonly discarded: readonly string[];
  /** Some were not looked at. */
  readonly more: boolean;
}

function choose(queue: Queue): Chosen {
  const { policy, slots, held, waiting } = queue;
  const room = slots === null ? waiting.length : Math.max(0, slots - held);
  const admitted = waiting.slice(0, room);
  const discarded = policy === 'serial-discard' ? waiting.slice(room) : [];
  return { queue, admitted, discarded, more: waiting.length === MOST_PER_WORKFLOW };
}

function discardReason({ policy, slots }: Queue): Reason {
  const others = slots === 1 ? 'another instance' : `${slots} other instances`;
  return {
    code: 'discarded',
    message: `the workflow's policy ${policy} lets none wait: ${others} of it had not ended`,
  };
}

function write(chosen: readonly Chosen[]): Call {
  const rows = chosen.flatMap(({ queue, admitted, discarded }) => {
    const reason = JSON.stringify(discardReason(queue));
    return [
      ...admitted.map((id) => ({ id, workflowId: queue.workflowId, reason: null })),
      ...discarded.map((id) => ({ id, workflowId: queue.workflowId, reason })),
    ];
  });
  return call(
    WRITE,
    rows.map(({ id }) => id),
    rows.map(({ workflowId }) => workflowId),
    rows.map(({ reason }) => reason),
    chosen.flatMap(({ queue, more }) => (more ? [] : queue.followups)),
  );
}

function outcome(chosen: readonly Chosen[], free: ReadonlySet<string>, someBusy: boolean): Admitted {
  const asked = chosen.flatMap(({ admitted, discarded }) => [...admitted, ...discarded]);
  const busy = someBusy || asked.some((id) => !free.has(id));
  return {
    admitted: chosen.flatMap(({ admitted }) => admitted).filter((id) => free.has(id)),
    discarded: chosen.flatMap(({ discarded }) => discarded).filter((id) => free.has(id)),
    left: chosen.some(({ more }) => more) ? 'more' : busy ? 'busy' : 'nothing',
  };
}
