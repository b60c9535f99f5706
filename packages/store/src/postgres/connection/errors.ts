/**
 * What a failed database operation means for its caller.
 *
 * - `retry`: certainly not committed; the same operation may run again
 * - `unknown`: it may or may not be committed, and a re-read proves nothing; run the same operation again under the same
 *   key, which finds its own work if it was
 * - `application`: the database refused what was asked; running it again gives the same
 */
export type Outcome = 'retry' | 'unknown' | 'application';

/** The connection went away while a transaction was under way. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
  /** True if COMMIT had been sent. */
  readonly commitSent: boolean;
  constructor(commitSent: boolean, cause: unknown) {
    super('the connection to PostgreSQL was lost', { cause });
    this.commitSent = commitSent;
  }
}

/** SQLSTATE classes and codes after which a statement has certainly not been committed and may succeed later. */
const RETRY_STATES = [
  '40001', // serialization failure
  '40P01', // deadlock
  '55P03', // lock timeout
  '57014', // statement timeout or cancel
  '25P03', // idle in transaction timeout
  '25P04', // transaction timeout
  '53', // out of disk, memory or connections
  '57P', // shutting down, crashed, starting
];
const UNKNOWN_STATES = ['40003', '08007'];
/** What pg and pg-pool say when a connection could not be opened in time: nothing was sent. */
const CONNECT_TIMEOUTS = /^(timeout expired|timeout exceeded when trying to connect)$/;
const CONNECT_ERRORS = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']);

export function outcomeOf(error: unknown): Outcome {
  if (error instanceof ConnectionLost) return error.commitSent ? 'unknown' : 'retry';
  if (error instanceof Error && CONNECT_TIMEOUTS.test(error.message)) return 'retry';
  const code = sqlState(error);
  if (code === undefined) return isConnectionError(error) ? 'unknown' : 'application';
  if (UNKNOWN_STATES.some((state) => code.startsWith(state))) return 'unknown';
  if (RETRY_STATES.some((state) => code.startsWith(state)) || CONNECT_ERRORS.has(code)) return 'retry';
  if (code.startsWith('08') || code === 'ECONNRESET' || code === 'EPIPE') return 'unknown';
  return 'application';
}

/** The SQLSTATE of a PostgreSQL error, or the `code` of a system error. */
export function sqlState(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** True when a unique key refused the row; `constraint` narrows it to one key. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (sqlState(error) !== '23505') return false;
  if (constraint === undefined) return true;
  return typeof error === 'object' && error !== null && 'constraint' in error && error.constraint === constraint;
}

function isConnectionError(error: unknown): boolean {
  return (
    error instanceof Error &&
    /query read timeout|connection terminated|connection ended|not queryable|client was closed/i.test(error.message)
  );
}
