import type { MasterContext } from '../context.ts';
import type { WorkerSession } from '../sessions.ts';
import { parseToken, tokenOf } from '../token.ts';
import type { TokenParts } from '../token.ts';

/** The log of one attempt ends here, whoever sends it; Keelson's own worker keeps 8 MiB and says in the log what it left out. */
export const MOST_LOG_BYTES = 64 * 1024 * 1024;
/** Tokens remembered for each worker, for what comes when their attempt has ended. */
const MOST_TOKENS = 20_000;

const logged = new WeakMap<WorkerSession, Set<string>>();
const lookups = new WeakMap<WorkerSession, Promise<ReadonlySet<string>>>();

/**
 * The parts of a token under which this worker may write a log; undefined: it is not one of its own. A token proves itself once, by the
 * attempt that this gateway has handed over or by the row in the database; after that it may come again, also late.
 */
export async function logToken(
  context: MasterContext,
  session: WorkerSession,
  token: string,
): Promise<TokenParts | undefined> {
  const parts = parseToken(token);
  if (parts?.incarnationId !== session.incarnation.id) return undefined;
  const known = logged.get(session) ?? new Set();
  if (known.has(token)) return parts;
  const isOwn = session.held.get(parts.attemptId)?.token === token || (await activeTokens(context, session)).has(token);
  if (!isOwn) return undefined;
  logged.set(session, known.add(token));
  if (known.size <= MOST_TOKENS) return parts;
  for (const oldest of known) {
    known.delete(oldest);
    break;
  }
  return parts;
}

/** One question at a time for each worker, however many tokens it makes up. */
function activeTokens({ store }: MasterContext, session: WorkerSession): Promise<ReadonlySet<string>> {
  const asked =
    lookups.get(session) ??
    store.engine
      .activeOf([session.incarnation.id])
      .then((active) => new Set(active.map((attempt) => tokenOf(attempt))));
  lookups.set(session, asked);
  const forget = (): void => void (lookups.get(session) === asked && lookups.delete(session));
  asked.then(forget, forget);
  return asked;
}
