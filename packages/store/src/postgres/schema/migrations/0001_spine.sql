-- The spine. Three kinds of tables:
--   hot         tiny, their rows are deleted when they have served: command, live_instance, need_counter, delayed, ready, active
--   append-only never updated; partitioned by ranges of instance id, so that retention drops partitions
--   registry    projects, workflows, workers, tokens, secrets: small and slow
-- Hot tables have no foreign keys and no index on a changing column, so that their updates stay HOT; what must never be
-- written is forbidden by keys and checks, and by triggers only where a write is already a mistake.

create table project (
  id         bigint generated always as identity primary key,
  name       text not null unique check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  params     jsonb not null default '{}',
  created_at timestamptz not null default now()
);

create table workflow (
  id             bigint generated always as identity primary key,
  project_id     bigint not null references project,
  name           text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  latest_version int not null default 0,
  created_at     timestamptz not null default now(),
  deleted_at     timestamptz,
  unique (project_id, name)
);

create table workflow_version (
  id          bigint generated always as identity primary key,
  workflow_id bigint not null references workflow,
  version     int not null,
  hash        text not null,                 -- sha-256 of the canonical definition and its files
  definition  json not null,                 -- normalised; json and not jsonb, which would lose the order of the tasks
  task_count  int not null,
  source      text not null,                 -- as it was applied
  files       jsonb not null default '[]',   -- [{path, sha256, size, mode}]
  created_by  text not null,
  created_at  timestamptz not null default now(),
  unique (workflow_id, version)
);

-- Instances -----------------------------------------------------------------------------------------------------------

create sequence instance_id as bigint cache 1;
create sequence attempt_id as bigint cache 1;

-- What an instance is. Never updated.
create table workflow_instance (
  id          bigint not null,
  workflow_id bigint not null,
  version_id  bigint not null,
  params      jsonb not null,
  run_time    timestamptz not null,
  trigger     text not null check (trigger in ('manual', 'schedule', 'backfill')),
  priority    smallint not null,
  created_by  text not null,
  created_at  timestamptz not null default clock_timestamp(),
  primary key (id)
) partition by range (id);
create index workflow_instance_by_workflow on workflow_instance (workflow_id, id);

-- The part of an instance that changes; its row is the lock of every decision about it, and is gone when it has ended.
create table live_instance (
  id            bigint primary key,
  workflow_id   bigint not null,
  version_id    bigint not null,
  generation    int not null check (generation >= 1),
  revision      bigint not null default 0,
  state         text not null check (state in ('queued', 'running', 'pausing', 'paused', 'stopping')),
  unfinished    int not null check (unfinished >= 0),
  failed        int not null default 0 check (failed >= 0),
  ending        boolean not null default false,   -- onFailure: end has struck
  has_artifacts boolean not null default false,   -- some task of it has uploaded artifacts
  failure       jsonb,                            -- the first failed task and its reason
  priority      smallint not null
) with (fillfactor = 50);

-- How a generation of an instance ended. The key makes a second end impossible.
create table instance_end (
  instance_id bigint not null,
  generation  int not null,
  state       text not null check (state in ('stopped', 'failed', 'succeeded')),
  reason      jsonb,
  ended_at    timestamptz not null default clock_timestamp(),
  primary key (instance_id, generation)
) partition by range (instance_id);
create index instance_end_unsuccessful on instance_end (instance_id) where state <> 'succeeded';

-- One start per key and workflow; kept 7 days.
create table start_key (
  workflow_id bigint not null,
  key         text not null,
  body_hash   text not null,
  instance_id bigint not null,
  created_at  timestamptz not null default now(),
  primary key (workflow_id, key)
);
create index start_key_by_age on start_key (created_at);

create table command (
  id          bigint generated always as identity primary key,
  instance_id bigint not null,
  kind        text not null check (kind in ('start', 'stop', 'withdrawn', 'settle', 'attempt-ended')),
  payload     jsonb not null default '{}',
  tries       smallint not null default 0,
  last_error  text,
  not_before  timestamptz not null default '-infinity',
  created_at  timestamptz not null default clock_timestamp()
) with (fillfactor = 70);
create index command_by_instance on command (instance_id);

-- A command that could not be applied, with its reason. Its instance has been failed with the same one.
create table command_error (
  id          bigint generated always as identity primary key,
  command_id  bigint not null unique,
  instance_id bigint not null,
  kind        text not null,
  payload     jsonb not null,
  tries       int not null,
  error       text not null,
  parked_at   timestamptz not null default clock_timestamp()
);
create index command_error_by_instance on command_error (instance_id);

-- Tasks ---------------------------------------------------------------------------------------------------------------

-- How many needs of a waiting task are met; only for tasks with two needs or more, from the first one on.
create table need_counter (
  instance_id bigint not null,
  task        text not null,
  met         int not null check (met >= 0),
  primary key (instance_id, task)
) with (fillfactor = 70);

create table delayed (
  instance_id  bigint not null,
  task         text not null,
  generation   int not null,
  attempt      int not null check (attempt >= 1),
  losses       smallint not null default 0,
  worker_group text not null,
  capability   text not null,
  priority     smallint not null,
  cause        text not null check (cause in ('delay', 'retry')),
  due_at       timestamptz not null,
  primary key (instance_id, task)
);
create index delayed_by_due on delayed (due_at);

create table ready (
  instance_id  bigint not null,
  task         text not null,
  generation   int not null,
  attempt      int not null check (attempt >= 1),
  losses       smallint not null default 0,
  worker_group text not null,
  capability   text not null,
  priority     smallint not null,
  seq          bigint generated always as identity,
  ready_at     timestamptz not null default clock_timestamp(),
  primary key (instance_id, task)
);
create index ready_in_line on ready (worker_group, priority desc, seq);

create table active (
  id             bigint primary key default nextval('attempt_id'),
  instance_id    bigint not null,
  task           text not null,
  generation     int not null,
  attempt        int not null check (attempt >= 1),
  losses         smallint not null default 0,
  incarnation_id bigint not null,
  nonce          text not null,
  state          text not null default 'dispatched' check (state in ('dispatched', 'running')),
  ready_at       timestamptz not null,
  dispatched_at  timestamptz not null default clock_timestamp(),
  started_at     timestamptz,
  timeout_at     timestamptz,
  timeout_action text check (timeout_action in ('fail', 'warn')),
  kill_reason    text check (kill_reason in ('stop', 'timeout')),
  progress       jsonb,
  unique (instance_id, task)                 -- a second active attempt cannot be written
) with (fillfactor = 70);
create index active_by_incarnation on active (incarnation_id);
create index active_by_timeout on active (timeout_at) where timeout_at is not null;

create table finished_task (
  instance_id    bigint not null,
  generation     int not null,
  task           text not null,
  state          text not null check (state in ('succeeded', 'failed', 'skipped', 'stopped', 'lost')),
  attempt        int not null check (attempt >= 0),   -- 0: it never ran
  attempt_id     bigint,
  incarnation_id bigint,
  ready_at       timestamptz,
  dispatched_at  timestamptz,
  started_at     timestamptz,
  ended_at       timestamptz not null,
  reason         jsonb,
  outputs        jsonb,
  artifacts      jsonb,
  check ((attempt = 0) = (attempt_id is null)),
  primary key (instance_id, task, generation)
) partition by range (instance_id);

-- The attempts before a task's last one.
create table earlier_attempt (
  instance_id    bigint not null,
  generation     int not null,
  task           text not null,
  attempt        int not null,
  attempt_id     bigint not null,
  incarnation_id bigint not null,
  state          text not null check (state in ('failed', 'stopped', 'lost')),
  ready_at       timestamptz not null,
  dispatched_at  timestamptz not null,
  started_at     timestamptz,
  ended_at       timestamptz not null,
  reason         jsonb,
  primary key (instance_id, task, generation, attempt)
) partition by range (instance_id);

-- One row per instance and step, with everything that the step changed.
create table history (
  id          bigint generated always as identity,
  instance_id bigint not null,
  at          timestamptz not null default clock_timestamp(),
  events      jsonb not null,
  primary key (instance_id, id)
) partition by range (instance_id);

create table log_chunk (
  instance_id bigint not null,
  attempt_id  bigint not null,
  start       bigint not null check (start >= 0),
  size        int not null check (size > 0),
  data        bytea,                          -- null: the bytes are in the blob store, under logs/<attempt>/<start>
  primary key (instance_id, attempt_id, start)
) partition by range (instance_id);
alter table log_chunk alter column data set storage external;

create function refuse_update() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'check_violation';
end $$;
create trigger append_only before update on workflow_instance for each row execute function refuse_update();
create trigger append_only before update on instance_end      for each row execute function refuse_update();
create trigger append_only before update on finished_task     for each row execute function refuse_update();
create trigger append_only before update on earlier_attempt   for each row execute function refuse_update();
create trigger append_only before update on history           for each row execute function refuse_update();

-- Nobody can renew a lease while the server is down: nothing expires within a lease of this moment.
create function server_up_since() returns timestamptz language sql stable as 'select pg_postmaster_start_time()';

-- Workers and servers -------------------------------------------------------------------------------------------------

create table worker_group (
  name     text primary key,
  lease_ms int not null default 10000 check (lease_ms between 10000 and 600000)
);
insert into worker_group (name) values ('default');

create table worker_incarnation (
  id              bigint generated always as identity primary key,
  name            text not null,
  worker_group    text not null,
  slots           int not null check (slots >= 1),
  capabilities    text[] not null,
  credential_hash text not null,
  host            text not null,
  pid             int not null,
  version         text not null,
  state           text not null default 'live' check (state in ('live', 'draining', 'dead')),
  lease_ms        int not null,
  lease_until     timestamptz not null,
  registered_at   timestamptz not null default clock_timestamp(),
  ended_at        timestamptz,
  end_reason      text
) with (fillfactor = 50);
create unique index worker_incarnation_live_name on worker_incarnation (name) where state = 'live';
create index worker_incarnation_not_dead on worker_incarnation (id) where state <> 'dead';

create table server_node (
  id         text primary key,
  roles      text[] not null,
  host       text not null,
  pid        int not null,
  url        text,
  version    text not null,
  started_at timestamptz not null default clock_timestamp(),
  seen_until timestamptz not null
) with (fillfactor = 50);

-- Access, secrets, alerts, blobs --------------------------------------------------------------------------------------

create table api_token (
  id         bigint generated always as identity primary key,
  name       text not null,
  role       text not null,
  hash       text not null unique,            -- sha-256 of the token
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);

create table secret (
  project_id bigint not null references project,
  name       text not null check (name ~ '^[A-Za-z_][A-Za-z0-9_]{0,63}$'),
  ciphertext bytea not null,
  updated_by text not null,
  updated_at timestamptz not null default now(),
  primary key (project_id, name)
);

create table datasource (
  project_id bigint not null references project,
  name       text not null check (name ~ '^[A-Za-z_][A-Za-z0-9_-]{0,63}$'),
  config     jsonb not null,                  -- everything but the password
  ciphertext bytea,                           -- the password
  updated_by text not null,
  updated_at timestamptz not null default now(),
  primary key (project_id, name)
);

create table alert (
  id           bigint generated always as identity primary key,
  kind         text not null,
  instance_id  bigint,
  payload      jsonb not null,
  created_at   timestamptz not null default clock_timestamp(),
  tries        int not null default 0,
  next_try_at  timestamptz not null default clock_timestamp(),
  last_error   text,
  delivered_at timestamptz
);
create index alert_outbox on alert (next_try_at) where delivered_at is null;

create table blob (
  sha256     text primary key check (sha256 ~ '^[0-9a-f]{64}$'),
  size       bigint not null check (size >= 0),
  created_at timestamptz not null default now()
);

create table blob_chunk (
  sha256 text not null,
  seq    int not null check (seq >= 0),
  data   bytea not null,
  primary key (sha256, seq)
);
alter table blob_chunk alter column data set storage external;
