import { createHash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { StoreError } from '../store-error.ts';
import { TOKEN_ROLES } from '../tokens.ts';
import type { TokenHolder, TokenInfo, TokenRole, Tokens } from '../tokens.ts';
import { isId, iso, isoOrNull } from './connection/rows.ts';
import { inTransaction } from './connection/transaction.ts';

const PREFIX = 'kls_';
const TOKEN = /^kls_[A-Za-z0-9_-]{43}$/;
/** How long a revocation may go unnoticed in a process that did not make it. */
const TRUST_MS = 3000;
const REMEMBERED = 10_000;

interface TokenRow {
  readonly id: string;
  readonly name: string;
  readonly role: TokenRole;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
}

const COLUMNS = 'id, name, role, created_at, expires_at, revoked_at';

const VERIFY = {
  name: 'token-verify',
  text: `select id, name, role from api_token
          where hash = $1 and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())`,
};

const REVOKE = 'update api_token set revoked_at = now() where id = $1 and revoked_at is null returning hash';
/** A statement of its own: it must see those who joined while the one before waited for their hold on the token. */
const END_WORKERS = `
  update worker_incarnation set revoked_at = clock_timestamp(), state = 'draining'
   where token_id = $1 and state <> 'dead' and revoked_at is null returning name`;

/** @param clock monotonic milliseconds */
export function createTokens(pool: pg.Pool, clock: { now(): number } = performance): Tokens {
  /** By hash, so that no token lies in memory. Only holders: who guesses cannot fill it. */
  const known = new LRUCache<string, TokenHolder>({ max: REMEMBERED, ttl: TRUST_MS, ttlResolution: 0, perf: clock });
  return {
    create: async ({ name, role, expiresAt }) => {
      if (!TOKEN_ROLES.includes(role))
        throw new StoreError(
          'invalid',
          'invalid-role',
          `${JSON.stringify(role)} is no role: use ${TOKEN_ROLES.join(', ')}`,
        );
      const token = `${PREFIX}${randomBytes(32).toString('base64url')}`;
      const { rows } = await pool.query<TokenRow>(
        `insert into api_token (name, role, hash, expires_at) values ($1, $2, $3, $4) returning ${COLUMNS}`,
        [name, role, hashOf(token), expiresAt ?? null],
      );
      const [row] = rows;
      if (row === undefined) throw new Error('the token was not stored');
      return { info: infoFrom(row), token };
    },
    verify: async (token) => {
      if (!TOKEN.test(token)) return undefined;
      const hash = hashOf(token);
      const remembered = known.get(hash);
      if (remembered !== undefined) return remembered;
      const { rows } = await pool.query<TokenHolder>({ ...VERIFY, values: [hash] });
      const [holder] = rows;
      if (holder !== undefined) known.set(hash, holder);
      return holder;
    },
    list: async () => {
      const { rows } = await pool.query<TokenRow>(`select ${COLUMNS} from api_token order by id desc`);
      return rows.map(infoFrom);
    },
    revoke: async (id) => {
      if (!isId(id)) return undefined;
      return inTransaction(pool, async (client) => {
        const [revoked] = (await client.query<{ hash: string }>(REVOKE, [id])).rows;
        if (revoked === undefined) return undefined;
        known.delete(revoked.hash);
        const { rows } = await client.query<{ name: string }>(END_WORKERS, [id]);
        return { workers: rows.map(({ name }) => name) };
      });
    },
  };
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function infoFrom({ id, name, role, created_at, expires_at, revoked_at }: TokenRow): TokenInfo {
  return {
    id,
    name,
    role,
    createdAt: iso(created_at),
    expiresAt: isoOrNull(expires_at),
    revokedAt: isoOrNull(revoked_at),
  };
}
