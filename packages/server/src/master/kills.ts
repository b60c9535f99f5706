import type { MasterContext } from './context.ts';
import { tokenOf } from './token.ts';
import { startLoop } from './wakeable.ts';
import type { WakeableLoop } from './wakeable.ts';

/** Orders are repeated with every renewal until the attempt has ended; this loop makes the first one prompt. */
const FALLBACK_POLL_MS = 5000;
const RETRY_MS = 200;

/** Kill intent is a column; this tells the workers of this gateway whose attempts have it. */
export function startKills(context: MasterContext): WakeableLoop {
  const { store, sessions, log } = context;
  const round = async (): Promise<number> => {
    const ids = [...sessions.all()].filter(({ held }) => held.size > 0).map(({ incarnation }) => incarnation.id);
    if (ids.length === 0) return FALLBACK_POLL_MS;
    for (const attempt of await store.engine.activeOf(ids, true)) {
      if (attempt.killReason !== null)
        sessions.kill(attempt.incarnationId, { token: tokenOf(attempt), reason: attempt.killReason });
    }
    return FALLBACK_POLL_MS;
  };
  return startLoop(context.clock, round, (error) => {
    log.warn({ err: error }, 'kill orders could not be read; trying again');
    return RETRY_MS;
  });
}
