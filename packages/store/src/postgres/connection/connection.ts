import pg from 'pg';

/** Every table lives in this schema, so that a database can be shared. */
export const SCHEMA = 'keelson';

/**
 * Bounds on what a paused or cut-off process can hold up (milliseconds). The idle and the TCP timeouts are what frees the row
 * locks of a process that was stopped between two statements, or that no longer reads; together they stay under 4 s.
 */
const SESSION_SETTINGS: Readonly<Record<string, string>> = {
  search_path: SCHEMA,
  statement_timeout: '15000',
  lock_timeout: '3000',
  idle_in_transaction_session_timeout: '3000',
  tcp_user_timeout: '3000',
  tcp_keepalives_idle: '2',
  tcp_keepalives_interval: '1',
  tcp_keepalives_count: '2',
  timezone: 'UTC',
  jit: 'off',
};

/**
 * For sessions that run the engine's prepared statements: hot tables are empty one moment and full the next, so a plan made from their
 * statistics is a trap. Every such statement is written to be run by index and nested loop, whatever the tables hold.
 */
export const INDEX_PLANS: Readonly<Record<string, string>> = {
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_bitmapscan: 'off',
};

/**
 * A connection that was cut without a word is given up after so many milliseconds without an answer: longer than any statement may take.
 * Nothing else notices it, for the kernel goes on sending for a quarter of an hour.
 */
export const QUERY_TIMEOUT_MS = 20_000;

const KEEPALIVE_DELAY_MS = 2000;

export interface ConnectionSettings {
  readonly url: string;
  readonly applicationName: string;
  /** Overrides of the session settings, by their PostgreSQL name. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** What the URL says in its own `options` goes after ours and so counts; but it must not take the place of all of them. */
export function clientConfig({ url, applicationName, settings }: ConnectionSettings): pg.ClientConfig {
  const all = { ...SESSION_SETTINGS, ...settings };
  const { plain, options } = withoutOptions(url);
  return {
    connectionString: plain,
    application_name: applicationName,
    options: [...Object.entries(all).map(([name, value]) => `-c ${name}=${value}`), ...options].join(' '),
    connectionTimeoutMillis: 5000,
    keepAlive: true,
    // The kernel's own delay is two hours.
    keepAliveInitialDelayMillis: KEEPALIVE_DELAY_MS,
  };
}

function withoutOptions(url: string): { plain: string; options: string[] } {
  const parsed = url.includes('options=') ? URL.parse(url) : null;
  const options = parsed?.searchParams.get('options') ?? null;
  if (parsed === null || options === null) return { plain: url, options: [] };
  parsed.searchParams.delete('options');
  return { plain: parsed.href, options: [options] };
}

/**
 * A pool for statements that stand alone, each with an end even where the server does not answer. An error of an idle connection is the pool's business: it drops it and opens another.
 *
 * @param size most connections open at once
 * @param answerWithinMs how long an answer may take before its connection is given up as cut
 */
export function openPool(settings: ConnectionSettings, size: number, answerWithinMs = QUERY_TIMEOUT_MS): pg.Pool {
  const pool = new pg.Pool({
    ...clientConfig(settings),
    max: size,
    idleTimeoutMillis: 30_000,
    query_timeout: answerWithinMs,
  });
  pool.on('error', () => undefined);
  // Also one that breaks while it is lent out, between two statements: nobody waits there who could be told, and unheard it ends the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}
