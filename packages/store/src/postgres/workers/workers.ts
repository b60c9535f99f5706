import { call } from '../connection/session.ts';
import type { Call, OpenSession, Transaction } from '../connection/session.ts';
import { StoreError } from '../../store-error.ts';
import type { LiveIncarnation, ProgressNote, Workers } from '../../workers.ts';

/**
 * Only who is seen to ask for work takes the place of its namesakes: a registration may reach us long after its sender has died. One that
 * joins while another of its name is live waits as draining, and an older one does not come back while a newer one is live. A revoked one
 * may still ask, for as long as a gateway has not looked: it takes no name.
 */
const SUPERSEDE = {
  name: 'worker-supersede',
  text: `update worker_incarnation older set state = 'draining' from worker_incarnation newer
          where newer.id = $1 and newer.state <> 'dead' and newer.revoked_at is null and newer.lease_until > clock_timestamp()
            and older.name = newer.name and older.id < newer.id and older.state = 'live'`,
};
const TAKE_NAME = {
  name: 'worker-take-name',
  text: `update worker_incarnation w set state = 'live'
          where w.id = $1 and w.state <> 'dead' and w.revoked_at is null and w.lease_until > clock_timestamp()
            and not exists (select from worker_incarnation n where n.name = w.name and n.state = 'live' and n.id <> w.id)
         returning w.id`,
};
const ENSURE_GROUP = {
  name: 'worker-group',
  text: 'insert into worker_group (name) values ($1) on conflict do nothing',
};
const REGISTER = {
  name: 'worker-register',
  text: `insert into worker_incarnation
           (name, worker_group, slots, capabilities, credential_hash, host, pid, version, protocol, token_id, state, lease_ms, lease_until)
         select $1, g.name, $3, $4, $5, $6, $7, $8, $9, $10,
                case when exists (select from worker_incarnation where name = $1 and state = 'live') then 'draining' else 'live' end, g.lease_ms, clock_timestamp() + g.lease_ms * interval '1 millisecond'
           from worker_group g where g.name = $2
         returning id, lease_ms`,
};
/** Locks: the token FOR SHARE, so that a revocation either is seen here or sees the incarnation that is made behind it. */
const TOKEN_HOLDS = {
  name: 'worker-join-token',
  text: 'select id from api_token where id = $1 and revoked_at is null for share',
};
const RENEW = {
  name: 'worker-renew',
  text: `update worker_incarnation set lease_until = clock_timestamp() + lease_ms * interval '1 millisecond'
          where id = any($1::bigint[]) and state <> 'dead' and revoked_at is null and lease_until > clock_timestamp()
         returning id, lease_ms`,
};
const AUTHENTICATE = {
  name: 'worker-authenticate',
  text: `select id, name, worker_group, slots, capabilities, state, lease_ms from worker_incarnation
          where id = $1 and credential_hash = $2 and state <> 'dead' and revoked_at is null and lease_until > clock_timestamp()`,
};
/** Locks: the incarnation FOR UPDATE, against bindings: those under way are committed before it, and those after it find it draining. */
const DRAIN = {
  name: 'worker-drain',
  text: `with held as (select id from worker_incarnation where id = $1 and state = 'live' for update)
         update worker_incarnation w set state = 'draining' from held where w.id = held.id`,
};

/**
 * Expiry in two statements, because what was bound while the first one waited for the incarnation's lock must be seen by the
 * second. Locks: the incarnation FOR UPDATE, against bindings, which hold it FOR KEY SHARE. Nothing expires within a lease of the
 * server's start, nor within one of the last doubt about its clock ($1, milliseconds ago): nobody could renew before it. What was not over
 * when that clock was last looked at ($2) is not over: it may have jumped since.
 */
const EXPIRE = {
  name: 'worker-expire',
  text: `with over as (
           select id from worker_incarnation
            where state <> 'dead' and lease_until < clock_timestamp()
              and clock_timestamp() > server_up_since() + lease_ms * interval '1 millisecond' and lease_ms <= $1::float8
              and lease_until < to_timestamp($2::float8 / 1000)
            for update skip locked
         )
         update worker_incarnation w set state = 'dead', ended_at = clock_timestamp(), end_reason = 'lease-expired'
           from over where w.id = over.id and w.lease_until < clock_timestamp() returning w.id, w.name, w.worker_group`,
};
const LEAVE = {
  name: 'worker-leave',
  text: `with held as (select id from worker_incarnation where id = $1 and state <> 'dead' for update)
         update worker_incarnation w set state = 'dead', ended_at = clock_timestamp(), end_reason = 'left' from held where w.id = held.id`,
};
/** Locks: the live rows FOR KEY SHARE, so that no instance ends between the look and the command. */
const LOSE_ATTEMPTS = {
  name: 'worker-lose-attempts',
  text: `with held as (
           select l.id from live_instance l
            where l.id in (select instance_id from active where incarnation_id = any($1::bigint[])) order by l.id for key share
         )
         insert into command (instance_id, kind, payload)
         select a.instance_id, 'attempt-ended',
                jsonb_build_object('attemptId', a.id::text, 'end', 'lost',
                                   'reason', jsonb_build_object('code', 'worker-lost', 'message', format('worker %s: %s', w.name, w.end_reason)))
           from worker_incarnation w join active a on a.incarnation_id = w.id join held on held.id = a.instance_id
          where w.id = any($1::bigint[])`,
};

/** Locks: the attempts' rows, in id order. */
const PROGRESS = {
  name: 'worker-progress',
  text: `with said as (
           select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) as u(id, incarnation_id, nonce, progress)
         ), held as (
           select id from active where id = any($1::bigint[]) order by id for no key update
         )
         update active a set progress = s.progress::jsonb from said s
          where a.id = s.id and a.incarnation_id = s.incarnation_id and a.nonce = s.nonce and a.id = any(array(select id from held))`,
};

/** Below the interval of renewals of the shortest lease: the next one must not queue behind a connection that was cut. */
const RENEWAL_ANSWER_MS = 2000;

/** Renewals have a connection of their own: they queue behind nothing. */
export function createWorkers(open: OpenSession): Workers & { close(): Promise<void> } {
  const renewals = open({ answerWithinMs: RENEWAL_ANSWER_MS });
  const lifecycle = open();
  const notes = open();
  return {
    register: async (worker) => {
      const { name, group, slots, capabilities, credentialHash, host, pid, version, protocol = 1, tokenId } = worker;
      const transaction = lifecycle.begin();
      if (tokenId !== undefined) await holdToken(transaction, tokenId);
      const rows = await transaction.commit([
        call(ENSURE_GROUP, group),
        call(REGISTER, name, group, slots, capabilities, credentialHash, host, pid, version, protocol, tokenId ?? null),
      ]);
      const made = rows[1]?.[0];
      if (made === undefined) throw new Error(`worker group ${group} vanished`);
      return { id: made.id, leaseMs: made.lease_ms };
    },
    renew: async (ids) => {
      const [rows = []] = await renewals.run([call(RENEW, ids)]);
      return rows.map((row) => ({ id: row.id, leaseMs: row.lease_ms }));
    },
    authenticate: async (id, hash) => {
      const [rows = []] = await renewals.run([call(AUTHENTICATE, id, hash)]);
      const row = rows[0];
      if (row === undefined) return undefined;
      const { name, slots, capabilities, state } = row;
      return {
        id: row.id,
        name,
        group: row.worker_group,
        slots,
        capabilities,
        state,
        leaseMs: row.lease_ms,
      } satisfies LiveIncarnation;
    },
    supersede: async (id) => {
      const rows = await lifecycle.begin().commit([call(SUPERSEDE, id), call(TAKE_NAME, id)]);
      return (rows[1]?.length ?? 0) > 0;
    },
    drain: async (id) => void (await lifecycle.run([call(DRAIN, id)])),
    leave: async (id) => {
      await lifecycle.begin().commit([call(LEAVE, id), call(LOSE_ATTEMPTS, [id])]);
    },
    expire: async (certainForMs, asOfMs = Infinity) => {
      const transaction = lifecycle.begin();
      const [rows = []] = await transaction.flight([call(EXPIRE, certainForMs, asOfMs)]);
      if (rows.length === 0) {
        await transaction.rollback();
        return [];
      }
      await transaction.commit([
        call(
          LOSE_ATTEMPTS,
          rows.map(({ id }) => id),
        ),
      ]);
      return rows.map((row) => ({ id: row.id, name: row.name, group: row.worker_group }));
    },
    noteProgress: async (said) => void (await notes.run([progressCall(said)])),
    close: async () => {
      await Promise.all([renewals.close(), lifecycle.close(), notes.close()]);
    },
  };
}

async function holdToken(transaction: Transaction, tokenId: string): Promise<void> {
  const [rows = []] = await transaction.flight([call(TOKEN_HOLDS, tokenId)]);
  if (rows.length > 0) return;
  await transaction.rollback();
  throw new StoreError('conflict', 'token-revoked', 'the join token has been revoked');
}

function progressCall(said: readonly ProgressNote[]): Call {
  return call(
    PROGRESS,
    said.map(({ attemptId }) => attemptId),
    said.map(({ incarnationId }) => incarnationId),
    said.map(({ nonce }) => nonce),
    said.map(({ fraction, message }) => JSON.stringify({ fraction, message })),
  );
}
