-- compatible-from: breaking
-- Schedules: what makes instances by the clock, each of its fires, and the days on which there are none.

-- What a fire needs of a version, without reading the whole of a definition.
alter table workflow_version add column params json generated always as (definition->'params') stored;

-- Registry. Days that schedules leave out, by name: holidays and the like.
create table calendar (
  project_id bigint not null references project,
  name       text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  definition json not null,                           -- normalised
  revision   bigint generated always as identity,     -- another one with each change
  updated_by text not null,
  updated_at timestamptz not null default now(),
  primary key (project_id, name)
);

-- A trigger of a workflow's latest version and where it is. Its row is the lock of every fire; the index below is the heap of the masters.
create table schedule (
  id          bigint generated always as identity primary key,
  workflow_id bigint not null,
  version_id  bigint not null,                        -- the workflow's latest; an apply changes both under the same locks
  trigger_id  text not null,
  trigger     jsonb not null,                         -- normalised, as in the version
  next_due    timestamptz,                            -- the time of its next fire, that instances get as their run time
  next_at     timestamptz,                            -- when masters look at it: next_due and its jitter, or the next try after an error
  awaiting    bigint,                                 -- fixedDelay: the instance whose end it waits for
  exhausted   boolean not null default false,         -- no time follows: its end is past, or it was for once
  enabled     boolean not null default true,          -- as the trigger says
  paused_at   timestamptz,                            -- by an operator; survives every version
  paused_by   text,
  last_error  text,                                   -- why the last look at it failed
  created_at  timestamptz not null default clock_timestamp(),
  started_at  timestamptz not null default clock_timestamp(), -- its trigger counts from here: made, changed or resumed
  deleted_at  timestamptz,
  check ((paused_at is null) = (paused_by is null)),
  check ((next_due is null) = (next_at is null)),
  check (awaiting is null or next_at is null),
  -- What is to fire knows when, or what it waits for; what is not to fire is not in the heap.
  constraint schedule_place check (
    case when deleted_at is not null or not enabled or exhausted or paused_at is not null then next_at is null
         else next_at is not null or awaiting is not null end)
) with (fillfactor = 80);
create unique index schedule_by_trigger on schedule (workflow_id, trigger_id) where deleted_at is null;
create index schedule_by_next on schedule (next_at) where next_at is not null;
create index schedule_awaiting on schedule (awaiting) where awaiting is not null;

-- One row per schedule and time: what became of it. The key is what makes a second fire of the same time impossible.
create table fire (
  schedule_id bigint not null,
  due_at      timestamptz not null,
  outcome     text not null check (outcome in ('fired', 'misfired', 'skipped', 'failed')),
  reason      jsonb,
  instance_id bigint,
  decided_at  timestamptz not null default clock_timestamp(),
  check ((outcome = 'fired') = (instance_id is not null)),
  check (outcome = 'fired' or reason is not null),
  primary key (schedule_id, due_at)
);
create index fire_by_age on fire (decided_at);

-- What people did with a schedule: why there are times without a fire.
create table schedule_event (
  id          bigint generated always as identity primary key,
  schedule_id bigint not null,
  at          timestamptz not null default clock_timestamp(),
  kind        text not null check (kind in ('created', 'changed', 'removed', 'paused', 'resumed', 'calendar-changed', 'failing')),
  by          text not null,
  detail      jsonb
);
create index schedule_event_by_schedule on schedule_event (schedule_id, id);
