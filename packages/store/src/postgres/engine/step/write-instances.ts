import { endedFollowups } from '../ended.ts';
import { call } from '../../connection/session.ts';
import type { Call } from '../../connection/session.ts';
import { gather, generations, ids, json } from './decided.ts';
import type { Decided, Push } from './decided.ts';

const UPDATE_LIVE = {
  name: 'write-live',
  text: `update live_instance l
            set revision = u.revision, state = u.state, unfinished = u.unfinished, failed = u.failed,
                ending = u.ending, has_artifacts = u.has_artifacts, failure = u.failure::jsonb, begun = u.begun, ended_ahead = u.ended_ahead,
                priority = u.priority
           from unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::int[], $6::bool[], $7::bool[], $8::text[], $9::bool[], $10::bool[], $11::int[])
                as u(id, revision, state, unfinished, failed, ending, has_artifacts, failure, begun, ended_ahead, priority)
          cross join lateral (select ctid as place from live_instance where id = u.id offset 0) k
          where l.ctid = k.place`,
};

const HISTORY = {
  name: 'write-history',
  text: 'insert into history (instance_id, events) select u.id, u.events::jsonb from unnest($1::bigint[], $2::text[]) as u(id, events)',
};

const ALERTS = {
  name: 'write-alerts',
  text: 'insert into alert (kind, instance_id, payload) select u.kind, u.id, u.payload::jsonb from unnest($1::text[], $2::bigint[], $3::text[]) as u(kind, id, payload)',
};

const END_REMAINING = {
  name: 'write-remaining',
  text: `insert into finished_task (instance_id, generation, task, state, attempt, ended_at, reason)
         select $1::bigint, $2::int, u.task, $3::text, 0, clock_timestamp(), $4::jsonb from unnest($5::text[]) as u(task)
         on conflict (instance_id, task, generation) do nothing`,
};

const DROP_ALL_COUNTERS = { name: 'drop-all-counters', text: 'delete from need_counter where instance_id = $1' };

const DROP_ALL_BROADCASTS = { name: 'drop-all-broadcasts', text: 'delete from broadcast where instance_id = $1' };

const DROP_HELD = { name: 'drop-held', text: 'delete from held where instance_id = any($1::bigint[])' };

const END_INSTANCES = {
  name: 'write-ends',
  text: `insert into instance_end (instance_id, generation, state, reason)
         select u.id, u.generation, u.state, u.reason::jsonb from unnest($1::bigint[], $2::int[], $3::text[], $4::text[]) as u(id, generation, state, reason)`,
};
/**
 * After this statement no command can be added for the instance: adding one locks the live row FOR KEY SHARE first. Answers the kinds of the
 * follow-ups that it left.
 */
const DELETE_LIVE = {
  name: 'delete-live',
  text: `with gone as (delete from live_instance where id = any($1::bigint[]) returning id, workflow_id, limited, schedule_id, backfill_id), ${endedFollowups('gone')} select distinct kind from told order by kind`,
};
/** Whether it is the call that deletes the live rows of what has ended. */
export const deletesLive = ({ statement }: Call): boolean => statement === DELETE_LIVE;

const DELETE_COMMANDS_OF_ENDED = {
  name: 'delete-commands-of-ended',
  text: 'delete from command where instance_id = any($1::bigint[])',
};
const DELETE_COMMANDS = { name: 'delete-commands', text: 'delete from command where id = any($1::bigint[])' };

/** The commands that this step applied. */
export function writeAppliedCommands(commandIds: readonly string[], push: Push): void {
  push(commandIds, () => call(DELETE_COMMANDS, commandIds));
}

/** The live rows of instances that go on. */
export function writeLive(going: readonly Decided[], push: Push): void {
  push(going, () => updateLive(going));
}

function updateLive(going: readonly Decided[]): Call {
  const live = going.map(({ changes }) => changes.live);
  return call(
    UPDATE_LIVE,
    ids(live),
    live.map(({ revision }) => revision),
    live.map(({ state }) => state),
    live.map(({ unfinished }) => unfinished),
    live.map(({ failed }) => failed),
    live.map(({ ending }) => ending),
    live.map(({ hasArtifacts }) => hasArtifacts),
    live.map(({ failure }) => json(failure)),
    live.map(({ begun }) => begun),
    live.map(({ endedAhead }) => endedAhead),
    live.map(({ priority }) => priority),
  );
}

/** One row per instance, with the events of this step. */
export function writeHistory(decided: readonly Decided[], push: Push): void {
  const noted = decided.filter(({ changes }) => changes.events.length > 0);
  push(noted, () =>
    call(
      HISTORY,
      ids(noted),
      noted.map(({ changes }) => JSON.stringify(changes.events)),
    ),
  );
}

/** Ends of instances. Last of all the commands: none can be added any more once the live rows are deleted. */
export function writeEnds(ended: readonly Decided[], push: Push): void {
  for (const { id, generation, changes, allTasks } of ended) {
    const { endRemaining } = changes;
    if (endRemaining === undefined) continue;
    push([id], () => call(END_REMAINING, id, generation, endRemaining.state, json(endRemaining.reason), allTasks()));
    push([id], () => call(DROP_ALL_COUNTERS, id));
    if (endRemaining.broadcasts) push([id], () => call(DROP_ALL_BROADCASTS, id));
  }
  const wound = ids(ended.filter(({ changes, mayHold }) => changes.endRemaining !== undefined && mayHold));
  push(wound, () => call(DROP_HELD, wound));
  push(ended, () =>
    call(
      END_INSTANCES,
      ids(ended),
      generations(ended),
      ended.map(({ changes }) => changes.end?.state),
      ended.map(({ changes }) => json(changes.end?.reason)),
    ),
  );
  push(ended, () => call(DELETE_LIVE, ids(ended)));
  push(ended, () => call(DELETE_COMMANDS_OF_ENDED, ids(ended)));
}

/** The outbox of alerts. */
export function writeAlerts(decided: readonly Decided[], push: Push): void {
  const alerts = gather(decided, ({ changes }) => changes.alerts);
  push(alerts, () =>
    call(
      ALERTS,
      alerts.map(({ item }) => item.kind),
      ids(alerts),
      alerts.map(({ item }) => JSON.stringify(item.payload)),
    ),
  );
}
