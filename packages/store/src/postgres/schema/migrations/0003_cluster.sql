-- compatible-from: 1
-- A cluster of separate processes: what servers tell of themselves, and by which token and protocol a worker joined.

-- The newest schema that the process knows (null: a release that did not say), for migrations that it would not survive.
alter table server_node
  add column schema_version int,
  add column gateway_url text,
  add column draining boolean not null default false,
  add column seen_at timestamptz not null default clock_timestamp(),
  add column load jsonb,      -- { stepsPerSecond, eventLoop, workers }
  add column workers jsonb;   -- incarnation → { load, at }: the workers whose calls this server answers

-- token_id: revoking the token ends the worker. A revoked incarnation is given nothing and renews nothing; its attempts are lost when its
-- lease has run out, and not before: until then the worker may still run them.
alter table worker_incarnation
  add column protocol int not null default 1,
  add column token_id bigint,
  add column revoked_at timestamptz;
create index worker_incarnation_by_token on worker_incarnation (token_id) where state <> 'dead' and token_id is not null;
