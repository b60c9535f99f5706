import type pg from 'pg';

const EVERY_MS = 5000;
/** For the queries of a connection with a heartbeat: one that was cut without a word is noticed within 8 s. */
export const HEARTBEAT_ANSWER_MS = 3000;

/**
 * Asks a connection that only listens, every 5 s, whether it is still there: it never says so by itself. One that does not answer within
 * its own query timeout is ended, which its `end` event tells. Returns what stops the asking.
 */
export function startHeartbeat(client: pg.Client, everyMs = EVERY_MS): () => void {
  let asking = false;
  const ask = async (): Promise<void> => {
    if (asking) return;
    asking = true;
    try {
      await client.query('select');
    } catch {
      clearInterval(timer);
      void client.end().catch(() => undefined);
    }
    asking = false;
  };
  const timer = setInterval(() => void ask(), everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
