-- compatible-from: breaking
-- Backfills: a workflow, and those that depend on it, for times that are past.

-- What finds the workflows that depend on one, without reading the whole of every definition.
alter table workflow_version add column depends_on json generated always as (definition->'dependsOn') stored;

-- Is there an instance for this time?
create index workflow_instance_by_time on workflow_instance (workflow_id, run_time);

-- Chosen before the first try to create one, so that the same call may be made again.
create sequence backfill_id;

-- Registry. Its row is the lock of everything that happens to the backfill; the counts are those of its runs.
create table backfill (
  id          bigint primary key,
  workflow_id bigint not null,
  state       text not null default 'running' check (state in ('running', 'paused', 'cancelled', 'done')),
  parallel    int not null check (parallel between 1 and 100),
  priority    smallint not null,
  on_failure  text not null check (on_failure in ('stop', 'continue')),
  again       boolean not null,               -- also runs the times that have succeeded already
  members     jsonb not null,                 -- [{workflowId, versionId, version, taskCount, project, workflow, projectParams, needs: [place]}]; the workflow itself is the first
  params      jsonb not null,                 -- of the workflow itself
  request     jsonb not null,                 -- what was asked for, for people
  waiting     int not null check (waiting >= 0),
  pending     int not null check (pending >= 0),
  running     int not null check (running >= 0),
  succeeded   int not null check (succeeded >= 0),
  failed      int not null check (failed >= 0),
  stopped     int not null check (stopped >= 0),
  skipped     int not null check (skipped >= 0),
  last_error  text,                           -- why the last turn failed, when it did
  key         text,                           -- idempotency key of the call that made it
  body_hash   text,
  created_by  text not null,
  created_at  timestamptz not null default clock_timestamp(),
  turned_at   timestamptz not null default clock_timestamp(), -- when a master or an operator has last done something with it
  ended_at    timestamptz,
  check ((key is null) = (body_hash is null)),
  -- Nothing is left to start, and nothing goes on, in one that is done.
  check (state <> 'done' or waiting + pending + running = 0),
  check (state <> 'cancelled' or waiting + pending = 0)
) with (fillfactor = 70);
create unique index backfill_by_key on backfill (workflow_id, key) where key is not null;
create index backfill_by_workflow on backfill (workflow_id, id);
create index backfill_with_room on backfill (id) where state = 'running' and pending > 0 and running < parallel;

-- One row per time and workflow, made with the backfill. Those of one time stand together, in the order of the members.
create table backfill_run (
  backfill_id bigint not null,
  seq         int not null check (seq >= 1),
  workflow_id bigint not null,
  run_time    timestamptz not null,
  state       text not null check (state in ('waiting', 'pending', 'running', 'succeeded', 'failed', 'stopped', 'skipped')),
  instance_id bigint,
  reason      jsonb,
  check (state not in ('waiting', 'pending', 'skipped') or instance_id is null),
  check (state not in ('running', 'succeeded', 'stopped') or instance_id is not null),
  check (state <> 'skipped' or reason is not null),
  primary key (backfill_id, seq)
) with (fillfactor = 70);
create index backfill_run_next on backfill_run (backfill_id, seq) where state = 'pending';
create unique index backfill_run_by_instance on backfill_run (instance_id) where instance_id is not null;
create index backfill_run_under_way on backfill_run (backfill_id) where state = 'running';

-- What was done with a backfill, and by whom.
create table backfill_event (
  id          bigint generated always as identity primary key,
  backfill_id bigint not null,
  at          timestamptz not null default clock_timestamp(),
  kind        text not null check (kind in ('created', 'paused', 'resumed', 'cancelled', 'instances-stopped', 'halted', 'ended')),
  by          text not null,
  detail      jsonb
);
create index backfill_event_by_backfill on backfill_event (backfill_id, id);
