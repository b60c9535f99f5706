-- compatible-from: breaking
-- Retention: what is kept for how long, and what is being removed.

-- scope 0: the installation; else the id of a project, whose row goes before the installation's. keep_ms null: for ever.
create table retention_rule (
  scope      bigint not null default 0,
  subject    text not null check (subject in ('succeeded', 'unsuccessful', 'logs', 'fires', 'alerts', 'command-errors', 'workers', 'blobs')),
  keep_ms    bigint check (keep_ms >= 3600000),
  updated_by text not null,
  updated_at timestamptz not null default now(),
  check (scope = 0 or subject in ('succeeded', 'unsuccessful', 'logs', 'fires')),
  primary key (scope, subject)
);

-- An installation that is there already was promised that nothing is deleted: for it everything is kept until somebody says otherwise.
insert into retention_rule (subject, keep_ms, updated_by)
select subject, case when not exists (select from workflow_instance) then days * 86400000::bigint end, 'default'
  from (values ('succeeded', 90), ('unsuccessful', 90), ('logs', 30), ('fires', 90), ('alerts', 90), ('command-errors', 90), ('workers', 90),
               ('blobs', 7)) as d(subject, days);

create view retention_limit as
  select p.id as project_id, d.subject, case when r.scope is null then d.keep_ms else r.keep_ms end as keep_ms
    from project p cross join retention_rule d left join retention_rule r on r.scope = p.id and r.subject = d.subject where d.scope = 0;

-- One row. An id up to removed_up_to that is not there was removed, or never given to anybody.
create table retention_state (
  only_row      boolean primary key default true check (only_row),
  removed_up_to bigint not null default 0,
  began_at      timestamptz,     -- of the last run
  ended_at      timestamptz,     -- null: it is under way, or was cut off
  removed       jsonb not null default '{}'
);
insert into retention_state default values;

-- Instances whose own row is gone, or is about to go with its partition, and whose other rows are being removed.
create table removal (
  first_id        bigint primary key,
  last_id         bigint not null,
  whole_partition boolean not null default false,
  check (first_id <= last_id)
);

-- When somebody last uploaded it, or was told that it need not be uploaded.
alter table blob add column used_at timestamptz not null default now();
create index blob_by_use on blob (used_at);

-- Which ends name a blob. Rows without artifacts are not in it.
create index finished_task_blobs on finished_task using gin (jsonb_path_query_array(artifacts, '$[*].sha256')) where artifacts is not null;

create index alert_by_age on alert (created_at);
create index command_error_by_age on command_error (parked_at);
create index worker_incarnation_by_end on worker_incarnation (ended_at) where state = 'dead';
