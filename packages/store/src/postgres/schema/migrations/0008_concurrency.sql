-- compatible-from: breaking
-- Serial policies: how many instances of a workflow may go at once, and who has the slots.

-- Registry. Only of workflows that were ever given a limit. Admissions of a workflow lock its row, one after the other.
create table concurrency (
  workflow_id bigint primary key,
  policy      text not null check (policy in ('parallel', 'serial-wait', 'serial-discard', 'serial-priority')),
  slots       int check (slots >= 1),          -- null: no limit any more
  -- Instances that were started before there was a limit, or without having seen it, hold no slot until an admission gives them one.
  -- Settled: there are none.
  settled     boolean not null default false,
  changed_at  timestamptz not null default clock_timestamp(),
  check (slots is not null or policy = 'parallel')
) with (fillfactor = 50);

-- Hot. A slot names its holder: an instance from its admission to its end. It goes in the statement that deletes the live row.
create table slot (
  workflow_id bigint not null,
  instance_id bigint not null,
  held_since  timestamptz not null default clock_timestamp(),   -- of one that went before there was a limit: when that was set
  primary key (workflow_id, instance_id)
);

-- In which order instances came, or began a later generation: their ids are taken in blocks, and do not tell.
alter table live_instance add column place bigint generated always as identity;
-- Who waits for a slot, in both orders. Of limited instances only, and of no column that a step changes: updates of live rows stay HOT.
create index live_instance_in_order    on live_instance (workflow_id, place) where limited;
create index live_instance_by_priority on live_instance (workflow_id, priority desc, place) where limited;
