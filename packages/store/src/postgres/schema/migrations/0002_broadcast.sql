-- compatible-from: breaking
-- Broadcasts: a task that runs on every worker of its group, one subtask each. A subtask is bound to its worker's incarnation for life.

-- Hot. Its row is there from the moment a broadcast begins until the task ends, so that the cost of a subtask's end depends neither on how
-- many there are nor on how many have ended.
create table broadcast (
  instance_id    bigint not null,
  task           text not null,
  generation     int not null,
  phase          text not null check (phase in ('before', 'fan', 'after')),
  prior_attempts int not null default 0,          -- attempts of `before`; those of `after` are numbered on from here
  total          int not null default 0 check (total >= 0),
  waiting        int not null default 0 check (waiting >= 0),   -- bound, and not handed over yet
  running        int not null default 0 check (running >= 0),   -- handed over, and not ended
  succeeded      int not null default 0,
  failed         int not null default 0,
  lost           int not null default 0,
  stopped        int not null default 0,
  skipped        int not null default 0,
  outputs        jsonb,                           -- of `before`
  since          timestamptz not null default clock_timestamp(),
  check (waiting + running + succeeded + failed + lost + stopped + skipped = total),
  primary key (instance_id, task)
) with (fillfactor = 50);

-- 0: the task itself. Else the incarnation whose subtask it is: the check binds the two, and the key lets each have one.
alter table active add column subtask bigint not null default 0;
alter table active add column subtask_index int;          -- its place among the subtasks, from 0
alter table active add column not_before timestamptz;     -- the delay of a subtask's retry; its worker waits it out
alter table active add constraint active_subtask_check
  check (subtask in (0, incarnation_id) and (subtask = 0) = (subtask_index is null));
alter table active add constraint active_instance_id_task_subtask_key unique (instance_id, task, subtask);
alter table active drop constraint active_instance_id_task_key;
-- bound: it belongs to its incarnation and has not been handed over, for want of a place under the broadcast's limit.
alter table active drop constraint active_state_check;
alter table active add constraint active_state_check check (state in ('bound', 'dispatched', 'running') and (state <> 'bound' or subtask <> 0));

-- Nobody else ever gets a subtask: what is not updated cannot be handed on.
create function refuse_new_holder() returns trigger language plpgsql as $$
begin
  raise exception 'a subtask belongs to incarnation %', old.incarnation_id using errcode = 'check_violation';
end $$;
create trigger bound_for_life before update of incarnation_id, subtask on active
  for each row when (old.subtask <> 0 and (new.subtask, new.incarnation_id) is distinct from (old.subtask, old.incarnation_id))
  execute function refuse_new_holder();

-- How a subtask ended. The key makes a second end impossible.
create table finished_subtask (
  instance_id    bigint not null,
  generation     int not null,
  task           text not null,
  incarnation_id bigint not null,
  worker         text not null,
  state          text not null check (state in ('succeeded', 'failed', 'lost', 'stopped', 'skipped')),
  attempt        int not null check (attempt >= 1),
  attempt_id     bigint not null,                 -- of one that never ran, too: it was its place
  ready_at       timestamptz not null,
  dispatched_at  timestamptz,
  started_at     timestamptz,
  ended_at       timestamptz not null,
  reason         jsonb,
  outputs        jsonb,
  primary key (instance_id, task, generation, incarnation_id)
) partition by range (instance_id);
create trigger append_only before update on finished_subtask for each row execute function refuse_update();

-- Attempts of a subtask before its last one, and those of `before`, the one that succeeded among them.
alter table earlier_attempt add column subtask bigint not null default 0;
alter table earlier_attempt drop constraint earlier_attempt_pkey;
alter table earlier_attempt add primary key (instance_id, task, generation, subtask, attempt);
alter table earlier_attempt drop constraint earlier_attempt_state_check;
alter table earlier_attempt add constraint earlier_attempt_state_check check (state in ('succeeded', 'failed', 'stopped', 'lost'));

-- A broadcast whose delay ends is not put in line: its workers are looked at in a decision.
alter table delayed add column fan_out boolean not null default false;
alter table command drop constraint command_kind_check;
alter table command add constraint command_kind_check
  check (kind in ('start', 'stop', 'withdrawn', 'settle', 'attempt-ended', 'fan-out'));

-- Partitions for the instances that there are already; later ones are made with those of the other tables.
do $$
declare
  existing record;
begin
  for existing in
    select substring(c.relname from '[0-9]+$') as index, pg_get_expr(c.relpartbound, c.oid) as bound
      from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'workflow_instance'::regclass
  loop
    execute format('create table finished_subtask_%s partition of finished_subtask %s', existing.index, existing.bound);
  end loop;
end $$;
