-- compatible-from: breaking
-- What operators and the clock ask for: pausing, new generations of an instance, and others that want to hear of its end.

alter table command drop constraint command_kind_check;
alter table command add constraint command_kind_check
  check (kind in ('start', 'stop', 'withdrawn', 'settle', 'attempt-ended', 'fan-out',
                  'pause', 'resume', 'begin', 'skip-task', 'set-priority', 'discard'));

alter table workflow_instance add column schedule_id bigint;
alter table workflow_instance add column backfill_id bigint;

alter table live_instance
  add column begun       boolean not null default false,   -- its `start`, or its generation's `begin`, was applied
  add column ended_ahead boolean not null default false,   -- some task may have ended before what it needs: carried, or skipped by an operator
  add column limited     boolean not null default false,   -- holds or waits for a slot under its workflow's limit
  add column schedule_id bigint,                           -- who wants to hear of its end
  add column backfill_id bigint;
update live_instance set begun = true where revision > 0;

-- Hot. Tasks that would be in line or delayed if their instance were not pausing or paused.
create table held (
  instance_id   bigint not null,
  task          text not null,
  generation    int not null,
  attempt       int not null check (attempt >= 1),
  losses        smallint not null default 0,
  worker_group  text not null,
  capability    text not null,
  priority      smallint not null,
  cause         text check (cause in ('delay', 'retry')),   -- null: it would stand in line
  delay_left_ms float8 not null default 0 check (delay_left_ms >= 0),
  fan_out       boolean not null default false,
  primary key (instance_id, task)
);

-- Hot. What has to follow an instance's creation or end elsewhere: written with that, deleted with what follows. So an instance is never
-- locked together with a limit, a schedule or a backfill.
create table followup (
  id          bigint generated always as identity primary key,
  kind        text not null check (kind in ('admission', 'schedule', 'backfill')),
  subject_id  bigint not null,               -- workflow, schedule, backfill
  instance_id bigint not null,
  created_at  timestamptz not null default clock_timestamp()
);

-- Why an instance has a generation after its first, and what differs in it. Never updated.
create table instance_generation (
  instance_id bigint not null,
  generation  int not null check (generation >= 2),
  mode        text not null check (mode in ('rerun', 'recover', 'from', 'only', 'force-success')),
  task        text,                          -- of from, only, force-success
  version_id  bigint not null,
  params      jsonb not null,
  created_by  text not null,
  created_at  timestamptz not null default clock_timestamp(),
  check ((task is not null) = (mode in ('from', 'only', 'force-success'))),
  primary key (instance_id, generation)
) partition by range (instance_id);
create trigger append_only before update on instance_generation for each row execute function refuse_update();

-- The generation in which the task ended, when it was carried into a later one.
alter table finished_task add column carried_from int;

-- Partitions for the instances that there are already; later ones are made with those of the other tables.
do $$
declare
  existing record;
begin
  for existing in
    select substring(c.relname from '[0-9]+$') as index, pg_get_expr(c.relpartbound, c.oid) as bound
      from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'workflow_instance'::regclass
  loop
    execute format('create table instance_generation_%s partition of instance_generation %s', existing.index, existing.bound);
  end loop;
end $$;
